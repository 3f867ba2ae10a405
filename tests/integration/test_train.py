"""The verb ``train`` from a user's own file to two registered models, and every way in which it must refuse."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic import ROOT, TINY
from workplace import ONE_JUDGE, Ended, Workplace, user_arrays

from stellar_emulator import Emulator, Validator
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.grid.source import open_source
from stellar_emulator.grid.split import split_rows
from stellar_emulator.grid.store import run_hashes

NETWORKS = [
    "autoencoder",
    "label_network",
    *(f"validator_{label} seed {seed}" for seed in (1, 2, 3) for label in ("teff", "m_h", "vsini")),
]


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_it_prints_accuracies_and_where_everything_is(trained: Ended, workplace: Workplace) -> None:
    (few,) = trained.errors
    assert "7 of 100 runs are for tests, so few that errors and R2 tell little" in few
    header = next(line for line in trained.out.splitlines() if line.startswith("RMSE"))
    assert header.split()[2:] == ["train", "validation", "test", "generated", "generated/test"]
    for label in TINY.labels:
        assert any(line.startswith(label.name) for line in trained.out.splitlines())
    assert f"registered models:/tiny-emulator/1 in {workplace.store}" in trained.out
    assert f"registered models:/tiny-label-validator/1 in {workplace.store}" in trained.out
    assert "files and figures: trained" in trained.out


def test_files_hold_every_split_region_and_approximation(trained: Ended, workplace: Workplace) -> None:
    output = workplace.folder / "trained"
    accuracy, flux_error = read(output / "accuracy.json"), read(output / "flux_error.json")
    found = {(row["split"], row["label"], row["signal_to_noise"]) for row in accuracy["rows"] if row["region"] == "box"}
    splits = ("train", "validation", "test", "generated")
    assert found == {(s, n, noise) for s in splits for n in TINY.label_names for noise in (None, 100.0, 50.0)}
    assert {row["what"] for row in flux_error["rows"]} == {"chain", "autoencoder", "validator PCA"}
    assert flux_error["dead_latent_units"] == 0
    for row in [*accuracy["rows"], *flux_error["rows"]]:
        assert row["n"] > 0
        assert row["mae"] > 0.0
    assert read(output / "verdict.json")["passed"] is True


def test_the_test_set_is_that_of_the_split(trained: Ended, workplace: Workplace, tmp_path: Path) -> None:
    grid = open_source(str(workplace.folder / "grid.npz"), TINY, tmp_path).grid
    split = split_rows(TINY, run_hashes(grid, TINY))
    digest = read_part(grid, split.test, 1).digest
    for name in ("accuracy.json", "flux_error.json"):
        assert read(workplace.folder / "trained" / name)["test_set"] == digest
    rows = read(workplace.folder / "trained" / "accuracy.json")["rows"]
    counts = {row["split"]: row["n"] for row in rows if row["region"] == "box"}
    assert counts == {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "generated": len(split.test),
    }
    emulator = Emulator.load(workplace.folder / "trained" / "models" / "emulator")
    seen = set(run_hashes(grid, TINY)[np.concatenate([split.train, split.validation])])
    assert set(emulator.metadata["seen_runs"]) == {value[:16] for value in seen}


def test_figures_are_pictures(trained: Ended, workplace: Workplace) -> None:
    pictures = {path.name: path.read_bytes() for path in (workplace.folder / "trained" / "figures").iterdir()}
    assert {"accuracy.png", "generated.png", "reconstructed.png", "spectra.png", "training.png"} <= set(pictures)
    assert {"sampling.png", "inferred_labels.png", "residual_map.png", "flux_error_by_region.png"} <= set(pictures)
    for content in pictures.values():
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000


def test_two_versions_name_each_other_and_their_grid(trained: Ended, workplace: Workplace, tmp_path: Path) -> None:
    grid = open_source(str(workplace.folder / "grid.npz"), TINY, tmp_path).grid
    emulator = workplace.client.get_model_version("tiny-emulator", "1")
    validator = workplace.client.get_model_version("tiny-label-validator", "1")
    assert emulator.tags["validator_version"] == "1"
    for version in (emulator, validator):
        assert version.tags["grid_digest"] == grid.digest
        assert version.tags["contract"] == TINY.digest
        assert version.tags["seed"] == "1"
        assert version.tags["search_run"] == "0a1b2c"
        assert version.tags["test_set"] == read(workplace.folder / "trained" / "accuracy.json")["test_set"]
        assert workplace.client.get_run(version.tags["run_id"]).info.status == "FINISHED"
    folders = workplace.folder / "trained" / "models"
    assert emulator.tags["digest"] == Emulator.load(folders / "emulator").digest
    assert validator.tags["digest"] == Validator.load(folders / "validator").digest


def test_both_models_know_their_measured_errors(trained: Ended, workplace: Workplace) -> None:
    """Beside the errors that `train` printed: those of the bins, at their centres."""
    folder = workplace.folder / "trained"
    emulator, validator = Emulator.load(folder / "models"), Validator.load(folder / "models")
    centres = np.array([[teff, 0.0, vsini] for teff in (5000.0, 7000.0) for vsini in (25.0, 75.0)])
    flux = read(folder / "flux_error.json")["rows"]
    (whole,) = (row["mse"] for row in flux if (row["what"], row["region"]) == ("chain", "all"))
    assert 0.2 * whole < np.mean(emulator.error(centres) ** 2) < 5.0 * whole
    accuracy = read(folder / "accuracy.json")["rows"]
    for noise, ratio in ((0.0, None), (0.02, 50.0)):
        found = validator.uncertainty(centres, noise)
        for column, name in enumerate(TINY.label_names):
            (rmse,) = (
                row["rmse"]
                for row in accuracy
                if (row["split"], row["region"], row["label"], row["signal_to_noise"]) == ("test", "all", name, ratio)
            )
            assert 0.3 * rmse < np.sqrt(np.mean(found[:, column] ** 2)) < 3.0 * rmse
    assert 0.0 < validator.reconstruction_quantiles[0.5] < validator.reconstruction_limit()


def test_the_registered_emulator_has_its_own_labels_and_pixels(trained: Ended, workplace: Workplace) -> None:
    with workplace.entered():
        model = mlflow.pyfunc.load_model("models:/tiny-emulator/1")
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["teff", "m_h", "vsini"]
    assert signature.outputs.inputs[0].shape == (-1, 777)
    labels = np.array([[5000.0, 0.1, 30.0], [4000.0, 0.5, 0.0]])
    flux = model.predict(pd.DataFrame(labels, columns=TINY.label_names))
    own = Emulator.load(workplace.folder / "trained" / "models" / "emulator")
    np.testing.assert_allclose(flux, own(labels), atol=1e-6)
    assert flux.shape == (2, 777)


def test_runs_are_nested_and_keep_settings_epochs_and_the_grid(trained: Ended, workplace: Workplace) -> None:
    client = workplace.client
    parent = client.get_run(client.get_model_version("tiny-emulator", "1").tags["run_id"])
    assert parent.info.run_name == "train little"
    assert parent.data.params["cfg.preset.autoencoder.training.epochs"] == "3"
    assert parent.data.params["cfg.contract"] == TINY.digest
    assert parent.data.tags["search_run"] == "0a1b2c"
    assert parent.data.metrics["ratio.teff"] > 0.0
    assert parent.data.metrics["flux.chain.mae"] > 0.0
    (dataset,) = parent.inputs.dataset_inputs
    tags = {tag.key: tag.value for tag in dataset.tags}
    assert tags == {
        "mlflow.data.context": "training",
        "sha256": client.get_model_version("tiny-emulator", "1").tags["grid_digest"],
    }
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    children = {run.info.run_name: run for run in client.search_runs(["0"], query)}
    assert set(children) == {"grid validation", *NETWORKS}
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    assert children["grid validation"].data.metrics == {"spectra": 400.0, "passed": 1.0, "warnings": 0.0}
    for name in NETWORKS:
        history = client.get_metric_history(children[name].info.run_id, "val_loss")
        assert [metric.step for metric in history] == [0, 1, 2]
    artifacts = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {"accuracy.json", "flux_error.json", "figures", "seen_runs.json"} <= artifacts


def test_the_card_tells_what_the_other_files_tell(trained: Ended, workplace: Workplace) -> None:
    output = workplace.folder / "trained"
    card = (output / "model_card.md").read_text()
    assert "model_card.md sums them up" in trained.out
    validator = workplace.client.get_model_version("tiny-label-validator", "1")
    told = ["grid_digest", "test_set", "run_id", "validation_run_id", "search_run", "digest", "contract"]
    for value in (*(validator.tags[name] for name in told), "seed 1", "Imported from `grid.npz`", "without provenance"):
        assert value in card, value
    rows = {(row["split"], row["region"]): row for row in read(output / "accuracy.json")["rows"][::-1]}
    assert f"| hard region | {rows['test', 'hard region']['n']} |" in card
    for picture in re.findall(r"\(figures/(.*?)\)", card):
        assert (output / "figures" / picture).is_file()
    assert "figures/residual_map.png" in card
    with workplace.entered():
        assert mlflow.artifacts.load_text(f"runs:/{validator.tags['run_id']}/model_card.md") == card
    for name in ("tiny-emulator", "tiny-label-validator"):
        description = workplace.client.get_model_version(name, "1").description
        assert description.startswith(f"{TINY.description} 777 pixels from 5000 to 5155.2 Angstrom")
        assert "| teff (K) | 4000 to 8000 |" in description


def test_the_same_command_again_trains_nothing_and_registers_the_same(trained: Ended, workplace: Workplace) -> None:
    output, before = workplace.folder / "trained", workplace.versions()
    kept = {path: path.stat().st_mtime_ns for path in output.glob("networks/*/**/*")}
    accuracy = (output / "accuracy.json").read_bytes()
    digest = Emulator.load(output / "models" / "emulator").metadata["test_set"]
    assert len(list(output.glob("networks/*/**/fit.json"))) == len(NETWORKS)
    ended = workplace.train("trained")
    assert ended.code == 0
    assert {path: path.stat().st_mtime_ns for path in output.glob("networks/*/**/*")} == kept
    assert (output / "accuracy.json").read_bytes() == accuracy
    assert Emulator.load(output / "models" / "emulator").metadata["test_set"] == digest
    assert workplace.versions() == {name: [*versions, versions[-1] + 1] for name, versions in before.items()}
    newest = str(workplace.versions()["tiny-emulator"][-1])
    tags = workplace.client.get_model_version("tiny-emulator", newest).tags
    assert tags["validator_version"] == str(workplace.versions()["tiny-label-validator"][-1])


def changed(name: str, row: int, value: float) -> dict[str, np.ndarray]:
    array = user_arrays()[name]
    array[row] = value
    return {name: array}


BAD_GRIDS: dict[str, tuple[int, dict[str, Any], str]] = {
    "nan": (1, changed("flux", 5, np.nan), "flux.*finite"),
    "label out of bounds": (1, changed("teff", 5, 9000.0), r"teff.*4000.*8000"),
    "dark flux": (1, changed("flux", 5, -0.5), "flux"),
    "pixels": (2, {"flux": np.ones((400, 700)), "wavelength": TINY.wavelength.pixels[:700]}, "700.*777|777.*700"),
    "nanometres": (2, {"wavelength": TINY.wavelength.pixels / 10.0}, "look like nm: multiply by 10"),
    "missing column": (2, {"vsini": None}, r"lacks the array\(s\) vsini"),
    "unknown column": (2, {"age": np.ones(400)}, "unknown array age"),
    "other lengths": (2, {"m_h": np.zeros(399)}, "m_h has 399 values for 400 spectra"),
    "empty": (2, {"flux": np.ones((0, 777))}, "holds no spectrum"),
}


@pytest.mark.parametrize("case", BAD_GRIDS)
def test_a_bad_grid_is_refused_in_one_line(
    trained: Ended, workplace: Workplace, save_npz: Callable[..., None], case: str
) -> None:
    code, arrays, message = BAD_GRIDS[case]
    save_npz(workplace.folder / "bad.npz", **arrays)
    assert_refused(workplace, code, message, grid="bad.npz")


def assert_refused(workplace: Workplace, code: int, message: str, **options: str) -> Ended:
    before = workplace.versions()
    ended = workplace.train("refused", **options)
    assert ended.code == code, ended.err
    (line,) = ended.errors
    assert line.startswith("stellar-emulator: error: ")
    assert pd.Series([line]).str.contains(message, regex=True).all(), line
    assert workplace.versions() == before
    assert not (workplace.folder / "refused" / "models").exists()
    assert not (workplace.folder / "refused" / "networks").exists()
    return ended


def test_a_refused_grid_leaves_its_verdict(trained: Ended, workplace: Workplace, save_npz: Callable[..., None]) -> None:
    save_npz(workplace.folder / "bad.npz", **changed("flux", 5, np.nan))
    assert_refused(workplace, 1, "flux", grid="bad.npz")
    assert read(workplace.folder / "refused" / "verdict.json")["passed"] is False
    newest = workplace.client.search_runs(["0"], "attributes.run_name = 'train little'", max_results=1)[0]
    assert newest.info.status == "FAILED"


def test_a_truncated_file_is_refused(trained: Ended, workplace: Workplace) -> None:
    content = (workplace.folder / "grid.npz").read_bytes()
    (workplace.folder / "cut.npz").write_bytes(content[: len(content) // 2])
    assert_refused(workplace, 2, r"cut\.npz was cut short", grid="cut.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": "nowhere.npz"}, r"nowhere\.npz does not exist"),
        ({"grid": "embedded"}, "contract tiny has no embedded grid"),
        (
            {"preset": "swift"},
            "preset 'swift' is neither one of default, few, few_learned, learned, paper, smoke nor a file",
        ),
        ({"preset": "grid.npz"}, r"preset grid\.npz can't be read"),
        ({"contract": "nowhere.yaml"}, r"data contract nowhere\.yaml can't be read"),
        ({"preset": "smoke"}, "needs a grid with intrinsic spectra.*choose --preset learned"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_bad_options_are_refused_in_one_line(
    trained: Ended, workplace: Workplace, options: dict[str, str], message: str
) -> None:
    before = workplace.versions()
    ended = workplace.run("train", *workplace.options("wrong", **{"preset": "little.yaml", **options}))
    assert ended.code == 2, ended.err
    (line,) = ended.errors
    assert pd.Series([line]).str.contains(f"^stellar-emulator: error: .*{message}", regex=True).all(), line
    assert workplace.versions() == before


def test_too_few_runs_to_split_are_refused(trained: Ended, workplace: Workplace, save_npz: Callable[..., None]) -> None:
    save_npz(workplace.folder / "few.npz", runs=3)
    assert_refused(workplace, 2, "the grid has too few runs: split by run, none falls into", grid="few.npz")


def test_a_killed_training_goes_on(trained: Ended, workplace: Workplace) -> None:
    """SIGKILL in the middle of a fit; the same command ends in registered models, no epoch is repeated."""
    preset = yaml.safe_load(ONE_JUDGE)
    preset["autoencoder"]["training"] = {**preset["autoencoder"]["training"], "epochs": 40, "patience": 40}
    (workplace.folder / "slow.yaml").write_text(yaml.safe_dump(preset))
    command = ["train", *workplace.options("killed", preset="slow.yaml")]
    code = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        cwd=workplace.folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": workplace.store, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        history = waited_for(workplace.folder / "killed", process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = read(history)["val_loss"]
    assert 5 <= len(before) < 40
    assert not (history.parent / "fit.json").exists()
    versions = workplace.versions()
    ended = workplace.run(*command)
    assert ended.code == 0, ended.err
    after = read(history.parent / "fit.json")["history"]["val_loss"]
    assert len(after) == 40
    assert after[: len(before) - 1] == before[:-1]  # the state of the last one may not have been saved
    assert workplace.versions() == {name: [*numbers, numbers[-1] + 1] for name, numbers in versions.items()}
    newest = str(workplace.versions()["tiny-emulator"][-1])
    run = workplace.client.get_model_version("tiny-emulator", newest).tags["run_id"]
    query = f"tags.`mlflow.parentRunId` = '{run}' AND attributes.run_name = 'autoencoder'"
    (child,) = workplace.client.search_runs(["0"], query)
    steps = {metric.step for metric in workplace.client.get_metric_history(child.info.run_id, "val_loss")}
    assert steps == set(range(40))  # the epochs before the kill are in the new run too


def waited_for(output: Path, process: "subprocess.Popen[bytes]") -> Path:
    """The history of the first fit, once it holds five epochs."""
    while process.poll() is None:
        for history in output.glob("networks/*/autoencoder/history.json"):
            if len(read(history)["val_loss"]) >= 5:
                return history
        time.sleep(0.02)
    raise AssertionError("the training ended before it was killed")
