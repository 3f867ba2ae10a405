"""The verb ``evaluate`` on the pair that ``train`` registered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import TINY
from workplace import CONTRACT, Ended, Workplace, user_arrays

from stellar_emulator.grid import sampling
from stellar_emulator.grid.split import split_rows


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def rows_of(output: Path, *splits: str, noise: bool = True) -> list[dict[str, Any]]:
    rows = read(output / "accuracy.json")["rows"]
    return [row for row in rows if row["split"] in splits and (noise or row["signal_to_noise"] is None)]


@pytest.fixture(scope="module")
def evaluated(trained: Ended, workplace: Workplace) -> Ended:
    ended = workplace.evaluate("evaluated", emulator="1", validator="1")
    assert ended.code == 0, ended.err
    return ended


def test_it_finds_the_test_set_and_repeats_what_training_measured(evaluated: Ended, workplace: Workplace) -> None:
    mine, theirs = workplace.folder / "evaluated", workplace.folder / "trained"
    assert read(mine / "accuracy.json")["test_set"] == read(theirs / "accuracy.json")["test_set"]
    assert {row["split"] for row in read(mine / "accuracy.json")["rows"]} == {"test", "generated"}
    for own, first in zip(rows_of(mine, "test", "generated"), rows_of(theirs, "test", "generated"), strict=True):
        assert {key: own[key] for key in ("split", "region", "label", "signal_to_noise", "n")} == {
            key: first[key] for key in ("split", "region", "label", "signal_to_noise", "n")
        }
        # ONNX Runtime here, NumPy there.
        scale = TINY.upper[TINY.label_names.index(own["label"])] * 1e-4
        for figure in ("rmse", "mae", "bias"):
            assert own[figure] == pytest.approx(first[figure], rel=1e-3, abs=scale)
    chain = [row for row in read(theirs / "flux_error.json")["rows"] if row["what"] == "chain"]
    for own, first in zip(read(mine / "flux_error.json")["rows"], chain, strict=True):
        assert own["mae"] == pytest.approx(first["mae"], rel=1e-4)
        assert own["worst_run"] == first["worst_run"]


def test_it_writes_the_same_files_and_prints_the_same_table(evaluated: Ended, workplace: Workplace) -> None:
    output = workplace.folder / "evaluated"
    assert read(output / "verdict.json")["passed"] is True
    pictures = {path.name for path in (output / "figures").iterdir()}
    assert {"accuracy.png", "generated.png", "spectra.png", "residual_map.png"} <= pictures
    assert evaluated.errors == []
    header = next(line for line in evaluated.out.splitlines() if line.startswith("RMSE"))
    assert header.split()[2:] == ["test", "generated", "generated/test"]


def test_it_is_a_run_of_its_own(evaluated: Ended, workplace: Workplace) -> None:
    (run,) = workplace.client.search_runs(["0"], "attributes.run_name = 'evaluate' AND attributes.status = 'FINISHED'")
    (dataset,) = run.inputs.dataset_inputs
    assert {tag.key: tag.value for tag in dataset.tags}["mlflow.data.context"] == "evaluation"
    assert run.data.tags["test_set"] == read(workplace.folder / "evaluated" / "accuracy.json")["test_set"]
    assert run.data.params["cfg.seed"] == "1"


def refusal(workplace: Workplace, code: int = 2, **options: str | Path) -> str:
    before = workplace.versions()
    ended = workplace.evaluate("refused", **{"emulator": "1", "validator": "1", **options})
    assert ended.code == code, ended.err
    (line,) = ended.errors
    assert line.startswith("stellar-emulator: error: ")
    assert workplace.versions() == before
    return line


def test_another_contract_is_refused(trained: Ended, workplace: Workplace) -> None:
    other = workplace.folder / "other.yaml"
    other.write_text(CONTRACT.read_text().replace("upper: 8000.0, kind: run", "upper: 9000.0, kind: run"))
    line = refusal(workplace, contract=other)
    assert "the emulator was trained under contract tiny" in line
    assert "name its own with --contract" in line


def test_a_missing_version_and_a_missing_model_are_named(trained: Ended, workplace: Workplace) -> None:
    assert "model tiny-emulator has no version or alias '99'" in refusal(workplace, emulator="99")
    assert "model tiny-label-validator has no version or alias 'best'" in refusal(workplace, validator="best")
    other = workplace.folder / "unknown.yaml"
    other.write_text(CONTRACT.read_text().replace("emulator: tiny-emulator", "emulator: nebula"))
    assert "no model nebula is registered" in refusal(workplace, contract=other, emulator="latest")


def test_runs_that_were_trained_on_are_not_measured(
    trained: Ended, workplace: Workplace, save_npz: Callable[..., None]
) -> None:
    arrays = user_arrays()
    own = np.stack([arrays[label.name] for label in TINY.run_labels], axis=1)
    seen = split_rows(TINY, np.array(sampling.run_hash(own))).train
    names = ["flux", *TINY.label_names]
    save_npz(workplace.folder / "seen.npz", **{name: arrays[name][seen] for name in names})
    assert "holds no run that the models were not trained on" in refusal(workplace, grid="seen.npz")


def test_a_bad_grid_is_refused(trained: Ended, workplace: Workplace, save_npz: Callable[..., None]) -> None:
    flux = user_arrays()["flux"]
    flux[3, 7] = np.nan
    save_npz(workplace.folder / "bad.npz", flux=flux)
    assert "flux" in refusal(workplace, code=1, grid="bad.npz")
