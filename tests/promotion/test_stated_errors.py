"""What a pair states of its own errors, against the gate set; and models that answer one row otherwise than many."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arena import ARENA, gate_rows, good_network, judge_network

from stellar_emulator import Emulator, Validator
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.measured import emulator_measures, validator_measures
from stellar_emulator.models.emulator import FLUX_TOLERANCE
from stellar_emulator.promotion.candidates import RegisteredPair
from stellar_emulator.promotion.champion import PairVersions
from stellar_emulator.promotion.stated_errors import stated_criteria
from stellar_emulator.saved.bundle import Arrays, read_bundle, save_emulator, save_validator
from stellar_emulator.saved.rebuilt import require_rows_alone

GATE = gate_rows(400)
Alter = Callable[[dict[str, np.ndarray]], object]


def measures() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What training would state, from a test set of its own."""
    test, emulator, judge = gate_rows(300, seed=99), good_network(5e-4), judge_network(0)
    flux = emulator_measures(ARENA, test.labels, test.flux, emulator(test.labels))
    kernel = judge.projection.layers[0].kernel
    told = validator_measures(ARENA, judge, test.flux.mean(axis=0), kernel, test.labels, test.flux)
    return dict(flux), {name: np.array(values) for name, values in told.items()}


STATED = measures()


def pair(folder: Path, flux: Arrays | None, labels: Arrays | None) -> RegisteredPair:
    save_emulator(folder / "emulator", good_network(5e-4), ARENA, {}, flux)
    save_validator(folder / "validator", judge_network(0), ARENA, {}, labels)
    loaded = Emulator.load(folder / "emulator"), (Validator.load(folder / "validator"),)
    return RegisteredPair(PairVersions(1, 1), *loaded, {})


def refused(folder: Path, flux: Arrays | None = STATED[0], labels: Arrays | None = STATED[1]) -> set[str]:
    criteria = stated_criteria(ARENA, GATE, pair(folder, flux, labels))
    return {row.name.rpartition(": ")[2] for row in criteria if not row.passed}


def test_what_training_measured_passes(tmp_path: Path) -> None:
    criteria = stated_criteria(ARENA, GATE, pair(tmp_path, *STATED))
    assert {row.name.rpartition(": ")[2]: row.passed for row in criteria} == {
        "emulator": True,
        "emulator, worst region": True,
        "validator": True,
        "validator, worst region": True,
    }
    assert all(row.figure < 1.6 for row in criteria), criteria


def test_a_pair_that_states_nothing_is_asked_nothing(tmp_path: Path) -> None:
    assert stated_criteria(ARENA, GATE, pair(tmp_path, None, None)) == []


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda told: told["flux_rms"].__imul__(0.3), "emulator"),
        (lambda told: told["flux_rms"].__imul__(3.0), "emulator"),
        (lambda told: told["flux_rms"][0].__imul__(0.1), "emulator, worst region"),
        (lambda told: told["flux_rms"][0, ..., 30:33].__imul__(0.01), "emulator, worst region"),
        (lambda told: told.update(flux_rms=told["flux_rms"][..., 1:]), "emulator"),
        (lambda told: told["flux_rms"].fill(np.nan), "emulator"),
        (lambda told: told.clear() or told.update(other=np.ones(3)), "emulator"),
    ],
)
def test_false_errors_of_flux_are_refused(alter: Alter, said: str, tmp_path: Path) -> None:
    told = {name: values.copy() for name, values in STATED[0].items()}
    alter(told)
    assert said in refused(tmp_path, flux=told)


@pytest.mark.parametrize(
    "alter",
    [
        lambda told: told["label_rms"].__imul__(0.3),
        lambda told: told["label_rms"][2].__imul__(0.3),
        lambda told: told["label_rms"][..., 1].__imul__(0.3),
        lambda told: told["reconstruction_error"].__imul__(10.0),
        lambda told: told["mean"].__iadd__(0.05 * (-1.0) ** np.arange(60)),
        lambda told: told.update(mean=told["mean"][:5]),
        lambda told: told["noise"].__imul__(2.0),
        lambda told: told.update(quantiles=1.0 - told["quantiles"]),
    ],
)
def test_false_errors_of_labels_are_refused(alter: Alter, tmp_path: Path) -> None:
    told = {name: values.copy() for name, values in STATED[1].items()}
    alter(told)
    assert {name.partition(",")[0] for name in refused(tmp_path, labels=told)} == {"validator"}


def test_a_network_that_looks_at_the_size_of_a_batch_is_refused(tmp_path: Path) -> None:
    save_emulator(tmp_path / "emulator", good_network(), ARENA, {})
    bundle, network = read_bundle(tmp_path / "emulator"), Emulator.load(tmp_path / "emulator").network
    labels = gate_rows(30).labels
    require_rows_alone(bundle, network, labels, FLUX_TOLERANCE)
    for how, size in (("one row", 1), ("many rows at once", len(labels))):

        def altered(rows: np.ndarray, size: int = size) -> np.ndarray:
            return np.asarray(network(rows) + np.float32(1e-3 * (len(rows) == size)))

        with pytest.raises(InputError, match=rf"model\.onnx answers {how} otherwise than the layers"):
            require_rows_alone(bundle, altered, labels, FLUX_TOLERANCE)
