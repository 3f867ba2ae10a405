"""Surveys of a few stars: folders that survive kills, rows of good and bad spectra, Parquet and other files."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from stars import ARCHIVE, archive_spectrum, pair_folder, pair_of, star
from stellar_emulator.cli import main
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.observed.gaia_archive import EPOCHS
from stellar_emulator.survey import fill
from stellar_emulator.survey.chunks import Chunk
from stellar_emulator.survey.flags import Flag
from stellar_emulator.survey.monitor import PAGE, RECORD
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


def archive_table(number: int, **more: object) -> Table:
    made = archive_spectrum(star(ARCHIVE), 80.0, 0.0, number)
    return Table({"wavelength": made.wavelength, "flux": made.flux, "flux_error": made.flux_error, **more})


def bulk(path: Path, ids: list[int]) -> Path:
    """Sources a row each, arrays as texts, as the archive's bulk files have them."""
    made = [archive_spectrum(star(ARCHIVE), 80.0, 0.0, number) for number in range(len(ids))]
    arrays = {
        name: [
            "[" + ",".join("null" if np.isnan(one) else f"{one:.7f}" for one in getattr(row, name)) + "]"
            for row in made
        ]
        for name in ("flux", "flux_error")
    }
    table = Table({"source_id": ids, "ra": np.arange(len(ids)) / 7.0, **arrays})
    if path.name.endswith(".ecsv.gz"):
        table.write(path.with_suffix(""), format="ascii.ecsv")
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
        path.with_suffix("").unlink()
    else:
        table.write(path, format="ascii.csv")
    return path


def archive_files(folder: Path) -> dict[str, list[int | None]]:
    """Files of all forms of the archive, and two that can't be read, with the identifiers of their spectra."""
    folder.mkdir()
    first = 2**62 + 1
    archive_table(0).write(folder / f"RVS_MEAN_SPECTRUM-Gaia DR3 {first}.csv")
    archive_table(1).write(folder / f"RVS_MEAN_SPECTRUM-Gaia DR3 {first + 2}.fits")
    archive_table(2).write(folder / f"RVS_MEAN_SPECTRUM-Gaia DR3 {first + 4}.xml", format="votable")
    bulk(folder / "bulk.csv", [first + 6, first + 8])
    bulk(folder / "bulk.ecsv.gz", [first + 10, first + 12])
    (folder / f"RVS_MEAN_SPECTRUM-Gaia DR3 {first + 14}.csv").write_text("wavelength,flux\n850.0,1.0\n")
    (folder / "torn.parquet").write_bytes(b"PAR1 and no more")
    return {
        "csv": [first, first + 14],
        "fits": [first + 2],
        "xml": [first + 4],
        "bulk.csv": [first + 6, first + 8],
        "bulk.ecsv.gz": [first + 10, first + 12],
        "torn.parquet": [None],
    }


def test_every_form_of_the_archives_files_gives_rows_with_exact_identifiers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids, output = archive_files(tmp_path / "files"), tmp_path / "survey"
    assert run(tmp_path / "files", output) == 0
    found = rows(output)
    wanted = [number for numbers in ids.values() for number in numbers]
    assert sorted(found.column("source_id").to_pylist(), key=str) == sorted(wanted, key=str)
    assert found.schema.field("source_id").type == pa.int64()
    files, flags = (found.column(name).to_pylist() for name in ("file", "flags"))
    bad = {Path(name).name[:12]: flag for name, flag in zip(files, flags, strict=True)}
    assert {name for name, flag in bad.items() if flag & Flag.NOT_FITTED} == {"RVS_MEAN_SPE", "torn.parquet"}
    told = dict(zip(found.column("source_id").to_pylist(), found.column("warning").to_pylist(), strict=True))
    assert "at least 50 are needed" in told[2**62 + 15]
    assert "can't be read as Parquet" in told[None]
    right = dict(zip(found.column("source_id").to_pylist(), found.column("ra").to_pylist(), strict=True))
    assert (right[2**62 + 9], right[2**62 + 13], right[2**62 + 1]) == (1.0 / 7.0, 1.0 / 7.0, None)
    assert "NOT_FITTED: 2, the first:" in capsys.readouterr().out


def test_a_text_lists_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive_files(tmp_path / "files")
    listed = tmp_path / "mine.txt"
    names = sorted(path for path in (tmp_path / "files").iterdir() if path.name.startswith("bulk"))
    listed.write_text("# two of them\n" + "\n".join(map(str, names)) + "\n\n")
    assert run(Path(f"@{listed}"), tmp_path / "survey") == 0
    assert rows(tmp_path / "survey").num_rows == 4
    listed.write_text("# none\n")
    assert run(Path(f"@{listed}"), tmp_path / "other") == 2
    assert "names none: give one a line" in capsys.readouterr().err
    assert run(Path(f"@{tmp_path / 'absent.txt'}"), tmp_path / "other") == 2
    assert "a list of files after @, can't be read: No such file" in capsys.readouterr().err


def test_a_survey_of_which_nothing_can_be_used_ends_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    assert run(tmp_path / "torn.parquet", tmp_path / "survey") == 2
    assert "none of 1 row could be used; the first:" in capsys.readouterr().err
    assert rows(tmp_path / "survey").num_rows == 1


def test_rows_that_are_damaged_keep_their_place(tmp_path: Path) -> None:
    place = dataset(tmp_path / "stars.parquet", 5, 2)
    content = bytearray(place.read_bytes())
    group = pq.read_metadata(place).row_group(1)
    column = next(group.column(i) for i in range(group.num_columns) if "flux_error" in group.column(i).path_in_schema)
    begin = column.data_page_offset
    content[begin : begin + 12] = bytes(12)
    place.write_bytes(bytes(content))
    assert run(place, tmp_path / "survey", "--workers", "1") == 0
    flags = rows(tmp_path / "survey").column("flags").to_numpy()
    assert [bool(flag & Flag.NOT_FITTED) for flag in flags] == [False, False, True, True, False]


def test_each_row_tells_its_model_its_settings_and_labels_beyond_the_box(tmp_path: Path) -> None:
    assert run(dataset(tmp_path / "stars.parquet", 2), tmp_path / "survey") == 0
    found, told = rows(tmp_path / "survey"), json.loads((tmp_path / "survey" / fill.MANIFEST).read_text())
    for name in ("model", "settings"):
        assert found.column(name).to_pylist() == [told[name]] * 2
    for label in ARCHIVE.labels:
        raw, value = (found.column(name).to_numpy() for name in (f"{label.name}_raw", label.name))
        inside = (raw > label.lower) & (raw < label.upper)
        spread = found.column(f"{label.name}_error").to_numpy()
        assert (np.abs(raw - value)[inside] < spread[inside]).all()
        assert ((value == label.lower) | (value == label.upper) | inside).all()


def epochs_of(path: Path, stars: int, count: int) -> Path:
    """Epochs of stars on the axis of Gaia DR4's, those of the second one all without lines."""
    random = np.random.default_rng(0)
    columns: dict[str, list[object]] = {name: [] for name in ("source_id", "transit_id", "flux", "flux_error")}
    nodes, axis = ARCHIVE.wavelength.pixels, EPOCHS.wavelengths() * 10.0
    flux = pair_of(ARCHIVE).emulator.flux(star(ARCHIVE))[0]
    for number in range(stars):
        for epoch in range(count):
            moved = np.interp(axis / (1.0 + 7.0 * epoch / SPEED_OF_LIGHT), nodes, flux) if number != 1 else np.ones(961)
            columns["source_id"].append(2**62 + 2 * number + 1)
            columns["transit_id"].append(2**60 + 100 * number + epoch)
            columns["flux"].append(moved + random.normal(0.0, 0.02, 961))
            columns["flux_error"].append(np.full(961, 0.02))
    pq.write_table(pa.table(columns), path)
    return path


def test_the_epochs_of_a_star_are_one_row(tmp_path: Path) -> None:
    place = epochs_of(tmp_path / "epochs.parquet", 3, 4)
    assert run(place, tmp_path / "together") == 0
    found = rows(tmp_path / "together").to_pylist()
    assert [row["source_id"] for row in found] == [2**62 + 1, 2**62 + 3, 2**62 + 5]
    assert [row["epochs"] for row in found] == [4, 0, 4]
    assert bool(found[1]["flags"] & Flag.NOT_FITTED)
    assert found[2]["epoch_transit_id"] == [2**60 + 200 + epoch for epoch in range(4)]
    for row in (found[0], found[2]):
        assert row["flags"] == Flag.VELOCITY_VARIES
        np.testing.assert_allclose(row["epoch_velocity"], 7.0 * np.arange(4), atol=2.0)
        assert row["velocity_p_value"] < 1e-3
        assert row["pixels"] > 4 * 900
    assert run(place, tmp_path / "apart", "--epochs", "apart") == 0
    apart = rows(tmp_path / "apart")
    assert apart.num_rows == 12
    assert run(place, tmp_path / "apart") == 2


def test_a_kill_between_stars_leaves_each_with_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stellar_emulator.survey.chunks.EPOCHS", 1)
    place = epochs_of(tmp_path / "epochs.parquet", 3, 3)
    assert run(place, tmp_path / "survey") == 0
    (tmp_path / "survey" / "part-000001.parquet").unlink()
    assert run(place, tmp_path / "survey") == 0
    assert rows(tmp_path / "survey").column("source_id").to_pylist() == [2**62 + 1, 2**62 + 3, 2**62 + 5]


def test_the_monitor_counts_what_the_rows_say(tmp_path: Path) -> None:
    assert run(dataset(tmp_path / "stars.parquet"), tmp_path / "survey") == 0
    told = json.loads((tmp_path / "survey" / RECORD).read_text())
    flags = rows(tmp_path / "survey").column("flags").to_numpy()
    assert told["stars"] == STARS
    assert told["flag.NOT_FITTED"] == np.mean((flags & Flag.NOT_FITTED) != 0)
    # The error of the physics counts, and these computed spectra have none.
    assert 0.5 < told["median_reduced_chi_square"] < 1.0
    page = (tmp_path / "survey" / PAGE).read_text()
    assert page.count("<img") == 2
    assert "NOT_FITTED" in page


def test_a_survey_is_a_run_of_mlflow_and_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    place, survey = dataset(tmp_path / "stars.parquet", 2), tmp_path / "survey"
    # What tests before this one left stands above the environment.
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else ""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        for _ in range(2):
            assert run(place, survey, "--track", "yes") == 0
        _look(survey)
    finally:
        mlflow.set_tracking_uri(before)


def _look(survey: Path) -> None:
    """Look at the one run of a survey's folder."""
    import mlflow

    found = mlflow.MlflowClient().search_runs(["0"])
    assert len(found) == 1
    told = json.loads((survey / fill.MANIFEST).read_text())
    assert found[0].data.tags["model"] == told["model"]
    assert found[0].data.metrics["stars"] == 2
    assert found[0].data.params["cfg.treatment.degree"] == "3"
    assert found[0].inputs.dataset_inputs[0].tags[-1].value == told["dataset"]
    names = {item.path for item in mlflow.MlflowClient().list_artifacts(found[0].info.run_id, "survey")}
    assert f"survey/{PAGE}" in names
