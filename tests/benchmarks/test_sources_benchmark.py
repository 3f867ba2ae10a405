"""The table of what was read of real files, on stand-ins."""

import sys
from pathlib import Path

import pytest
import survey_files

from benchmarks import sources


def test_files_read_alike_are_one_row_and_refusals_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        survey_files.lamost_low(tmp_path / f"{name}.fits")
    (tmp_path / "c.txt").write_text("Dear reader, this is a letter.\nIt goes on.\n")
    (tmp_path / "d.txt").write_text("\n".join(f"{8400 + 0.5 * step} 1.{step % 7}" for step in range(200)))
    monkeypatch.setattr(sys, "argv", ["sources", str(tmp_path)])
    sources.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"| {tmp_path.name}")]
    assert len(rows) == 3
    assert f"{tmp_path.name} (2) | LAMOST low resolution; wavelengths in Angstrom; vacuum" in rows[0]
    assert "refused: c.txt begins with no numbers" in rows[1]
    assert "for the medium (air stated)" in rows[2]
