"""The verb ``validate`` on every kind of grid, good, bad and hostile; and what training makes of its verdict."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import SMALL, TINY, synthetic_rows, synthetic_runs, write_rows, write_runs
from workplace import CONTRACT, Ended, Workplace, user_arrays

from stellar_emulator.grid.store import open_parquet

FILES = {"verdict.json", "violations.parquet", "data_docs/index.html", "figures/coverage.png", "figures/flux_range.png"}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def spoiled() -> dict[str, np.ndarray]:
    """A NaN pixel, a label out of bounds and a missing label."""
    arrays = user_arrays()
    arrays["flux"][5, 7] = np.nan
    arrays["teff"][9] = 9000.0
    arrays["m_h"][20] = np.nan
    return arrays


@pytest.fixture(scope="module")
def validate(trained: Ended, workplace: Workplace, save_npz: Callable[..., None]) -> Callable[..., Ended]:
    """Run the verb in the workplace, after a training there, which would take over the pass of the grid otherwise."""
    save_npz(workplace.folder / "bad.npz", **spoiled())

    def run(output: str, **changed: str | Path) -> Ended:
        return workplace.run("validate", *workplace.options(output, **changed))

    return run


@pytest.fixture(scope="module")
def passed(validate: Callable[..., Ended]) -> Ended:
    return validate("passed")


@pytest.fixture(scope="module")
def failed(validate: Callable[..., Ended]) -> Ended:
    return validate("failed", grid="bad.npz")


@pytest.fixture(scope="module")
def quarantined(validate: Callable[..., Ended]) -> Ended:
    return validate("quarantined", grid="bad.npz", on_violation="quarantine")


def newest(workplace: Workplace, name: str) -> Any:
    return workplace.client.search_runs(["0"], f"attributes.run_name = '{name}'", max_results=1)[0]


def files(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith("grids/")}


def test_a_good_grid_passes_and_every_file_is_there(passed: Ended, workplace: Workplace) -> None:
    assert passed.code == 0, passed.err
    assert passed.errors == []
    assert "400 spectra obey the data contract" in passed.out
    assert "the grid does not state its medium" in passed.out
    assert files(workplace.folder / "passed") == FILES
    verdict = read(workplace.folder / "passed" / "verdict.json")
    assert verdict["passed"] is True
    assert verdict["faults"] == []
    assert pq.read_table(workplace.folder / "passed" / "violations.parquet").num_rows == 0


def test_a_bad_grid_fails_and_every_offender_is_in_the_table(failed: Ended, workplace: Workplace) -> None:
    assert failed.code == 1
    (line,) = failed.errors
    assert line.startswith("stellar-emulator: error: grid imported-bad.parquet breaks the data contract: ")
    folder = workplace.folder / "failed"
    assert files(folder) == FILES
    faults = read(folder / "verdict.json")["faults"]
    assert all(fault["message"] in failed.out for fault in faults)
    table = pq.read_table(folder / "violations.parquet").to_pylist()
    assert {row["row"] for row in table} == {5, 9, 20}
    (hot,) = [row for row in table if row["row"] == 9]
    assert (hot["subject"], hot["observed"], hot["lower"], hot["upper"]) == ("teff", 9000.0, 4000.0, 8000.0)
    assert hot["run_id"] == 3  # of its own: no other spectrum has its labels
    page = (folder / "data_docs" / "index.html").read_text()
    assert "FAILED" in page
    assert "9000" in page


def test_both_are_runs_with_their_files_and_a_verdict_to_search_for(
    passed: Ended, failed: Ended, workplace: Workplace
) -> None:
    runs = workplace.client.search_runs(["0"], "attributes.run_name = 'validate'")
    verdicts = {run.data.tags["passed"]: run for run in runs if run.data.params["cfg.on_violation"] == "fail"}
    for said, folder, status in (("true", "passed", "FINISHED"), ("false", "failed", "FAILED")):
        run, verdict = verdicts[said], read(workplace.folder / folder / "verdict.json")
        assert run.info.status == status
        assert run.data.tags["grid_digest"] == verdict["digest"]
        assert run.data.tags["contract"] == TINY.digest
        assert run.data.params["cfg.seed"] == "1"
        (dataset,) = run.inputs.dataset_inputs
        assert {tag.key: tag.value for tag in dataset.tags}["sha256"] == verdict["digest"]
        logged = {item.path for item in workplace.client.list_artifacts(run.info.run_id)}
        assert logged == {"verdict.json", "violations.parquet", "data_docs", "figures"}
        with workplace.entered():
            assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/verdict.json") == verdict


def test_quarantine_sets_the_offenders_aside(quarantined: Ended, workplace: Workplace) -> None:
    assert quarantined.code == 0, quarantined.err
    folder = workplace.folder / "quarantined"
    assert files(folder) == FILES | {"good.parquet", "quarantined.parquet", "reasons.parquet"}
    assert "397 good spectra: quarantined/good.parquet" in quarantined.out
    assert "3 set aside: quarantined/quarantined.parquet" in quarantined.out
    assert open_parquet(folder / "good.parquet", TINY).rows == 397
    assert pq.read_table(folder / "reasons.parquet")["row"].to_pylist() == [5, 9, 20]
    assert read(folder / "verdict.json")["passed"] is False


def test_training_takes_the_good_part_and_the_pass_it_has(
    quarantined: Ended, trained: Ended, workplace: Workplace
) -> None:
    validation = newest(workplace, "validation of good.parquet")
    assert validation.data.tags["passed"] == "true"
    ended = workplace.train("trained_on_good", "one_judge.yaml", grid="quarantined/good.parquet")
    assert ended.code == 0, ended.err
    assert f"run {validation.info.run_id} checked this grid against this contract already" in ended.err
    assert read(workplace.folder / "trained_on_good" / "verdict.json")["passed"] is True
    for name, versions in workplace.versions().items():
        tags = workplace.client.get_model_version(name, str(versions[-1])).tags
        assert tags["validation_run_id"] == validation.info.run_id
        assert tags["grid_digest"] == validation.data.tags["grid_digest"]


def test_training_checks_a_grid_that_nobody_checked_in_a_child_run(trained: Ended, workplace: Workplace) -> None:
    for name in ("tiny-emulator", "tiny-label-validator"):
        tags = workplace.client.get_model_version(name, "1").tags
        run = workplace.client.get_run(tags["validation_run_id"])
        assert run.info.run_name == "grid validation"
        assert run.data.tags["mlflow.parentRunId"] == tags["run_id"]
        assert run.data.tags["passed"] == "true"
        assert run.data.tags["grid_digest"] == tags["grid_digest"]
    assert files(workplace.folder / "trained") >= FILES


@pytest.fixture(scope="module")
def few(workplace: Workplace, save_npz: Callable[..., None]) -> Callable[..., bool]:
    """Start a training on too few runs, which ends right after the check; tell whether it took over an earlier pass."""

    def took_over(contract: Path = CONTRACT, **changed: np.ndarray) -> bool:
        flux = user_arrays(3)["flux"] - np.float32(2e-6)  # no other test has trained on it
        save_npz(workplace.folder / "few.npz", runs=3, **{"flux": flux, **changed})
        ended = workplace.train("few", grid="few.npz", contract=contract)
        assert "the grid has too few runs" in ended.err
        assert ("checking 12 spectra" in ended.err) is not ("checked this grid" in ended.err)
        return "checked this grid" in ended.err

    assert not took_over()
    return took_over


def test_a_pass_counts_again(few: Callable[..., bool]) -> None:
    assert few()


@pytest.mark.parametrize(
    "changed",
    [{"flux": user_arrays(3)["flux"] - np.float32(1e-6)}, {"weight": np.full(12, 2.0)}, {"run_id": np.arange(12) // 2}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_pass_of_another_grid_does_not_count(few: Callable[..., bool], changed: dict[str, np.ndarray]) -> None:
    assert not few(**changed)


def test_a_pass_under_another_contract_does_not_count(few: Callable[..., bool], workplace: Workplace) -> None:
    other = workplace.folder / "reworded.yaml"
    other.write_text(CONTRACT.read_text().replace("description: Three", "description: 3"))
    assert not few(contract=other)


def test_a_pass_without_its_verdict_does_not_count(few: Callable[..., bool], workplace: Workplace) -> None:
    """Tags alone are no proof: anybody may set them."""
    for run in workplace.client.search_runs(["0"], "attributes.run_name = 'grid validation'", max_results=1000):
        path = Path(run.info.artifact_uri) / "verdict.json"
        if run.data.metrics.get("spectra") == 12.0:
            path.write_text(path.read_text().replace('"passed": true', '"passed": false'))
    assert not few()


def test_every_form_of_grid_is_read(workplace: Workplace, validate: Callable[..., Ended]) -> None:
    write_rows(workplace.folder / "own.parquet", synthetic_rows(runs=10))
    (workplace.folder / "small.yaml").write_text(SMALL.source)
    write_runs(workplace.folder / "runs", synthetic_runs())
    for grid, contract, spectra in (("own.parquet", CONTRACT, 40), ("runs", "small.yaml", 96)):
        ended = validate("forms", grid=grid, contract=contract)
        assert ended.code in (0, 1), ended.err
        assert read(workplace.folder / "forms" / "verdict.json")["rows"] == spectra


def truncated(path: Path, share: float = 0.6) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


class Malicious:
    """Unpickled, it makes a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


def cut_parquet(folder: Path) -> Path:
    truncated(write_rows(folder / "cut.parquet", synthetic_rows()).path)
    return folder / "cut.parquet"


def damaged_parquet(folder: Path) -> Path:
    path = write_rows(folder / "damaged.parquet", synthetic_rows()).path
    content = bytearray(path.read_bytes())
    content[2000:6000] = bytes(4000)
    path.write_bytes(bytes(content))
    return path


def other_columns(folder: Path) -> Path:
    pq.write_table(pa.table({"wave": [1.0, 2.0], "counts": [3, 4]}), folder / "other.parquet")
    return folder / "other.parquet"


def pickled_npz(folder: Path) -> Path:
    arrays = {**user_arrays(3), "teff": np.array([Malicious()] * 12, dtype=object)}
    np.savez(folder / "pickled.npz", **arrays)  # type: ignore[arg-type]
    return folder / "pickled.npz"


def text_file(folder: Path) -> Path:
    (folder / "text.parquet").write_text("teff,m_h,vsini\n5000,0,10\n")
    return folder / "text.parquet"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def folder_named_as_a_file(folder: Path) -> Path:
    (folder / "folder.parquet").mkdir()
    (folder / "folder.parquet" / "part-0").touch()
    return folder / "folder.parquet"


def no_rows(folder: Path) -> Path:
    write_rows(folder / "none.parquet", synthetic_rows(), batch=1000)
    pq.write_table(pq.read_table(folder / "none.parquet").slice(0, 0), folder / "none.parquet")
    return folder / "none.parquet"


def folder_of_damaged_runs(folder: Path) -> Path:
    truncated(write_runs(folder / "runs", synthetic_runs()) / "shard-00000.parquet")
    return folder / "runs"


def unreadable(folder: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    (folder / "secret.npz").write_bytes(b"PK")
    (folder / "secret.npz").chmod(0)
    return folder / "secret.npz"


HOSTILE: dict[Callable[[Path], Path], str] = {
    cut_parquet: "is no Parquet file, was cut short or can't be read",
    damaged_parquet: "is damaged",
    other_columns: "unknown column wave",
    pickled_npz: "teff holds pickled Python objects, which are never read",
    text_file: "is no Parquet file",
    empty_folder: "is an empty folder",
    folder_named_as_a_file: "is a folder: name the Parquet or NPZ file itself",
    no_rows: "holds no spectrum",
    folder_of_damaged_runs: "shard-00000.parquet",
    unreadable: "can't be read: Permission denied",
}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_hostile_input_ends_with_2_and_one_line(
    workplace: Workplace, validate: Callable[..., Ended], tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    grid, contract = make(tmp_path), CONTRACT
    if make is folder_of_damaged_runs:
        contract = tmp_path / "small.yaml"
        contract.write_text(SMALL.source)
    ended = validate("hostile", grid=grid, contract=contract)
    assert ended.code == 2, ended.err
    (line,) = ended.errors
    assert line.startswith("stellar-emulator: error: ")
    assert HOSTILE[make] in line
    assert grid.name in line
    assert ended.out == ""
    assert not (workplace.folder / "unpickled").exists()
    assert not (workplace.folder / "hostile" / "verdict.json").exists()


def test_another_axis_ends_with_2_and_can_t_be_set_aside(
    workplace: Workplace, validate: Callable[..., Ended], save_npz: Callable[..., None]
) -> None:
    save_npz(workplace.folder / "nm.npz", wavelength=TINY.wavelength.pixels / 10.0)
    for choice in ("fail", "quarantine"):
        ended = validate("axis", grid="nm.npz", on_violation=choice)
        assert ended.code == 2, ended.err
        (line,) = ended.errors
        assert "look like nm: multiply by 10" in line
        assert files(workplace.folder / "axis") == FILES - {"figures/flux_range.png"}
