"""Surveys of a few stars: folders that survive kills, rows of good and bad spectra, Parquet and other files."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from stars import ARCHIVE, archive_spectrum, pair_folder, star
from stellar_emulator.cli import main
from stellar_emulator.survey import fill
from stellar_emulator.survey.chunks import Chunk
from stellar_emulator.survey.flags import Flag
from stellar_emulator.system.lock import locked

STARS = 7
ALONE = ["--workers", "1", "--chunk", "2"]


def dataset(path: Path, stars: int = STARS, group: int = 3) -> Path:
    """A Parquet file of stars with identifiers beyond the whole numbers of a double, the fourth without lines."""
    made = [archive_spectrum(star(ARCHIVE), 80.0, 5.0 * number, number) for number in range(stars)]
    flux = np.stack([one.flux for one in made])
    flux[3:4] = 1.0 + np.random.default_rng(0).normal(0.0, 0.0125, flux.shape[1])
    columns = {
        "source_id": pa.array([2**62 + 2 * number + 1 for number in range(stars)], pa.int64()),
        "wavelength": list(np.tile(made[0].wavelength, (stars, 1))),
        "flux": list(flux),
        "flux_error": list(np.stack([one.flux_error for one in made])),
        "parallax": np.arange(stars, dtype=float),
    }
    table = pa.table(columns)
    fields = [field.with_metadata({"unit": "nm"} if field.name == "wavelength" else {}) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path, row_group_size=group)
    return path


def run(place: Path, output: Path, *words: str) -> int:
    return main(["fit", str(place), "--output", str(output), "--model", str(pair_folder(ARCHIVE)), *ALONE, *words])


def rows(folder: Path) -> pa.Table:
    return pq.read_table(folder)  # as a dataset, whatever else lies in the folder


def test_every_star_has_a_row_with_its_labels_its_identifier_and_its_columns(tmp_path: Path) -> None:
    output = tmp_path / "survey"
    assert run(dataset(tmp_path / "stars.parquet"), output) == 0
    found = rows(output)
    assert found.column("source_id").to_pylist() == [2**62 + 2 * number + 1 for number in range(STARS)]
    assert found.column("parallax").to_pylist() == list(range(STARS))
    flags = found.column("flags").to_numpy()
    assert [bool(flag & Flag.NOT_FITTED) for flag in flags] == [number == 3 for number in range(STARS)]
    assert "no absorption lines" in found.column("warning")[3].as_py()
    good = np.arange(STARS) != 3
    assert (flags[good] == 0).all()
    for name, true in zip(ARCHIVE.label_names, star(ARCHIVE)[0], strict=True):
        apart = found.column(name).to_numpy()[good] - true
        assert (np.abs(apart) < 4.5 * found.column(f"{name}_error").to_numpy()[good]).all()
    np.testing.assert_allclose(found.column("radial_velocity").to_numpy()[good], 5.0 * np.arange(STARS)[good], atol=1.0)
    np.testing.assert_allclose(found.column("snr").to_numpy()[good], 78.0, atol=8.0)
    parts = [found.column(f"chi_square_{name}").to_numpy()[good] for name in ("ca_ii", "elsewhere")]
    # Flux errors alone make the parts, the model's error lowers the whole.
    assert (found.column("chi_square").to_numpy()[good] < sum(parts)).all()
    freedom = found.column("degrees_of_freedom").to_numpy()[good]
    np.testing.assert_allclose(sum(parts), freedom, rtol=0.15)
    assert (found.column("rejected").to_numpy()[good] == 0).all()
    told = json.loads((output / fill.MANIFEST).read_text())
    assert told["flags"]["1"].startswith("NOT_FITTED")


def test_a_survey_that_ends_midway_goes_on_and_does_no_chunk_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, output, done = dataset(tmp_path / "stars.parquet"), tmp_path / "survey", []
    real = fill.fitted_chunk

    def until_the_third(job: fill.Job, chunk: Chunk) -> pa.Table:
        done.append(chunk.number)
        if len(done) == 3:
            raise KeyboardInterrupt
        return real(job, chunk)

    monkeypatch.setattr(fill, "fitted_chunk", until_the_third)
    assert run(place, output) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
    assert len(list(output.glob("part-*"))) == 2
    before = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert run(place, output) == 0
    assert done == [0, 1, 2, 2, 3]
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert rows(output).num_rows == STARS
    assert not list(output.glob(".*"))


@pytest.mark.parametrize("words", [["--continuum", "2"], ["--teff", "5777"], ["--prior", "logg=4.4+-0.1"]])
def test_a_folder_with_other_settings_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, output = dataset(tmp_path / "stars.parquet", 2), tmp_path / "survey"
    assert run(place, output) == 0
    assert run(place, output, *words) == 2
    told = capsys.readouterr().err
    assert "holds a survey with settings" in told
    assert re.search(r"\((treatment|known|priors) differ\): use another folder", told)


def test_other_spectra_or_a_second_command_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "survey"
    assert run(dataset(tmp_path / "stars.parquet", 2), output) == 0
    assert run(dataset(tmp_path / "others.parquet", 4), output) == 2
    assert "holds a survey with dataset" in capsys.readouterr().err
    # As many chunks that begin elsewhere would leave stars out.
    assert run(tmp_path / "others.parquet", tmp_path / "more", "--chunk", "2") == 0
    assert run(tmp_path / "others.parquet", tmp_path / "more", "--chunk", "3") == 2
    assert "holds a survey with dataset" in capsys.readouterr().err
    with locked(output):
        assert run(tmp_path / "stars.parquet", output) == 2
    assert "is being filled by another process" in capsys.readouterr().err


def test_a_folder_of_archive_files_is_a_survey_too(tmp_path: Path) -> None:
    folder, output = tmp_path / "files", tmp_path / "survey"
    folder.mkdir()
    for number in range(2):
        made = archive_spectrum(star(ARCHIVE), 80.0, 0.0, number)
        names = ["wavelength", "flux", "flux_error"]
        Table([made.wavelength, made.flux, made.flux_error], names=names).write(folder / f"RVS_{number}.csv")
    (folder / "bad.csv").write_text("wavelength,flux\n850.0,1.0\n")
    assert run(folder, output) == 0
    found = rows(output)
    assert [bool(flag & Flag.NOT_FITTED) for flag in found.column("flags").to_pylist()] == [False, False, True]
