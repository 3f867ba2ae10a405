"""The verb ``generate``: a whole table at once or not at all, and readable as a grid of one's own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import ROOT, TINY
from tiny_models import tiny_emulator

from stellar_emulator.cli import main
from stellar_emulator.grid.user_grid import open_grid
from stellar_emulator.label_file import ROWS


def write_labels(path: Path, rows: int) -> np.ndarray:
    share = np.random.default_rng(1).random((rows, len(TINY.labels)))
    labels = TINY.lower + share * (TINY.upper - TINY.lower)
    pq.write_table(pa.table(dict(zip(TINY.label_names, labels.T, strict=True))), path)
    return labels


def generate(folder: Path, labels: str = "stars.parquet") -> int:
    return main(
        ["generate", str(folder / "emulator"), "--labels", str(folder / labels), "--output", str(folder / "out")]
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir())


def test_spectra_lie_beside_their_labels_as_a_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    emulator = tiny_emulator(tmp_path / "emulator")
    labels = write_labels(tmp_path / "stars.parquet", ROWS + 10)
    assert generate(tmp_path) == 0
    path = tmp_path / "out" / "spectra.parquet"
    assert f"{path}: 2,058 spectra by emulator {emulator.digest[:12]}" in capsys.readouterr().out
    assert left(tmp_path) == ["spectra.parquet"]
    grid = open_grid(path, TINY, tmp_path)
    np.testing.assert_array_equal(grid.labels, labels)
    np.testing.assert_array_equal(grid.wavelength, TINY.wavelength.pixels)
    expected = np.concatenate([emulator(labels[:ROWS]), emulator(labels[ROWS:])])
    np.testing.assert_array_equal(grid.take(np.arange(len(labels))), expected)
    assert pq.read_schema(path).metadata[b"emulator"].decode() == emulator.digest


def test_a_bad_row_leaves_the_last_file_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_emulator(tmp_path / "emulator")
    labels = write_labels(tmp_path / "stars.parquet", 5)
    assert generate(tmp_path) == 0
    before = (tmp_path / "out" / "spectra.parquet").read_bytes()
    labels[3, 0] = 9000.0
    pq.write_table(pa.table(dict(zip(TINY.label_names, labels.T, strict=True))), tmp_path / "hot.parquet")
    capsys.readouterr()
    assert generate(tmp_path, "hot.parquet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "hot.parquet: teff = 9000 K in row 3 lies outside 4000 to 8000 K" in line
    assert left(tmp_path) == ["spectra.parquet"]
    assert (tmp_path / "out" / "spectra.parquet").read_bytes() == before


def test_killed_midway_it_leaves_no_half_file(tmp_path: Path) -> None:
    tiny_emulator(tmp_path / "emulator")
    rows = 200_000
    write_labels(tmp_path / "stars.parquet", rows)
    command = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["generate", "emulator", "--labels", "stars.parquet", "--output", "out"]
    started = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.DEVNULL,
    )
    partial = tmp_path / "out" / ".spectra.parquet.partial"
    while not (partial.exists() and partial.stat().st_size > 1_000_000):
        assert started.poll() is None
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "out" / "spectra.parquet").exists()
    write_labels(tmp_path / "stars.parquet", 5)
    assert generate(tmp_path) == 0
    assert left(tmp_path) == ["spectra.parquet"]
