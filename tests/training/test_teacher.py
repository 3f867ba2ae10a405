"""The Gaussian process between the runs, and networks that learn from it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from synthetic import SMALL, synthetic_runs

from stellar_emulator.errors import InputError
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.source import Source, broaden
from stellar_emulator.grid.split import split_rows
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.networks.basis import Basis, fit_basis
from stellar_emulator.networks.preset import Preset, TeacherSettings, Training, read_preset
from stellar_emulator.training.fit_network import Report
from stellar_emulator.training.space import BasisSpace
from stellar_emulator.training.teacher import Lessons, _scaled_kernel, covariances, spread_labels
from stellar_emulator.training.train_emulator import (
    exact_examples,
    exact_lessons,
    intrinsic_split,
    intrinsic_targets,
    train_emulator,
)
from stellar_emulator.tuning.materials import Materials

SEED = 1
INPUTS = SMALL.run_labels


@dataclass(frozen=True)
class Shown:
    grid: IntrinsicGrid
    basis: Basis
    coefficients: np.ndarray

    def lessons(self) -> Lessons:
        return exact_lessons(self.grid, SMALL, self.coefficients, TeacherSettings(draws=2), SEED)


@pytest.fixture(scope="module")
def shown() -> Shown:
    grid = synthetic_runs(runs=200)
    targets = intrinsic_targets(SMALL, grid)
    basis = fit_basis(targets[intrinsic_split(SMALL, grid).train], 12, SEED)
    return Shown(grid, basis, basis.project(targets))


def test_a_teacher_knows_spectra_between_the_runs(shown: Shown) -> None:
    lessons = shown.lessons()
    assert lessons.error < 1e-2 * shown.coefficients.var()
    runs = len(intrinsic_split(SMALL, shown.grid).train)
    assert lessons.labels.shape == (2 * runs, 4)
    assert lessons.targets.shape == (2 * runs, 12)
    again = shown.lessons()
    np.testing.assert_array_equal(again.targets, lessons.targets)


def test_a_teacher_is_given_training_runs_alone(shown: Shown) -> None:
    split = intrinsic_split(SMALL, shown.grid)
    spoilt = shown.coefficients.copy()
    spoilt[np.concatenate([split.validation, split.test])] += 100.0
    other = exact_lessons(shown.grid, SMALL, spoilt, TeacherSettings(draws=2), SEED)
    np.testing.assert_array_equal(other.targets, shown.lessons().targets)
    assert other.error > 1000.0


def test_covariances_are_those_of_scikit_learn() -> None:
    """Of points between runs, and on one of them."""
    random = np.random.default_rng(1)
    runs = random.uniform(-1, 1, (60, 3))
    kernel = _scaled_kernel(runs, np.stack([runs.sum(axis=1), np.abs(runs[:, 0])], axis=1), SEED)
    points = np.concatenate([random.uniform(-1, 1, (9, 3)), runs[:1]])
    np.testing.assert_allclose(covariances(kernel, points, runs), kernel(points, runs), rtol=1e-6, atol=1e-9)


def test_lessons_fill_the_box_evenly() -> None:
    asked = spread_labels(SMALL, INPUTS, 1000, SEED)
    assert asked.shape == (1000, 4)
    assert np.abs(asked).max() <= 1.0
    counts = [np.histogram(column, bins=10, range=(-1, 1))[0] for column in asked.T]
    assert np.abs(np.array(counts) - 100).max() <= 10
    np.testing.assert_array_equal(asked, spread_labels(SMALL, INPUTS, 1000, SEED))
    assert np.abs(asked - spread_labels(SMALL, INPUTS, 1000, SEED + 1)).max() > 0.1


def test_networks_are_shown_the_runs_and_the_lessons(shown: Shown) -> None:
    lessons = shown.lessons()
    alone = exact_examples(shown.grid, SMALL, shown.basis, shown.coefficients.copy(), SEED, "labels")
    more = exact_examples(shown.grid, SMALL, shown.basis, shown.coefficients.copy(), SEED, "labels", lessons)
    assert isinstance(alone.space, BasisSpace)
    assert isinstance(more.space, BasisSpace)
    np.testing.assert_array_equal(more.given, np.concatenate([alone.given, lessons.labels]))
    np.testing.assert_array_equal(more.space.targets[:200], alone.space.targets)
    np.testing.assert_allclose(more.space.targets[200:], lessons.targets / more.space.scale, rtol=1e-6)
    asked = len(lessons.labels)
    np.testing.assert_array_equal(more.split.train, [*alone.split.train, *range(200, 200 + asked)])
    for part in ("validation", "test"):
        np.testing.assert_array_equal(more.split[part], alone.split[part])
    inputs, targets = more.space.examples("train", more.given, 32)
    assert len(inputs) == len(targets) == len(alone.split.train) + asked


def small_preset(teacher: TeacherSettings | None, epochs: int) -> Preset:
    smoke = read_preset("smoke")
    steps = Training(
        optimizer="adam", learning_rate=0.005, schedule="cosine", batch_size=32, epochs=epochs, patience=epochs
    )
    return smoke.model_copy(
        update={
            "teacher": teacher,
            "autoencoder": smoke.autoencoder.model_copy(update={"training": steps}),
            "label_network": smoke.label_network.model_copy(update={"training": steps}),
            "fine_tuning": steps,
        }
    )


def test_networks_learn_more_from_few_runs_with_a_teacher(tmp_path: Path) -> None:
    intrinsic = synthetic_runs(runs=60)
    grid = broaden(intrinsic, SMALL, 2, tmp_path / "grid.parquet")
    split = split_rows(SMALL, run_hashes(grid, SMALL))
    error, told = {}, []

    def report(name: str) -> Report:
        return lambda epoch, metrics: told.append((name, metrics["val_loss"]))

    for name, teacher in (("alone", None), ("taught", TeacherSettings(draws=20))):
        preset, folder = small_preset(teacher, 15), tmp_path / name
        trained = train_emulator(grid, intrinsic, split, SMALL, preset, SEED, folder, report)
        error[name] = min(trained.fits["chain"].history["val_loss"])
    assert error["taught"] < 0.7 * error["alone"]
    own = [value for name, value in told if name == "teacher"]
    assert len(own) == 1
    assert 0.0 < own[0] < 0.1

    # A killed training takes up its lessons instead of making them again.
    lessons = tmp_path / "taught" / "lessons.npz"
    before = lessons.stat().st_mtime_ns
    train_emulator(grid, intrinsic, split, SMALL, preset, SEED, tmp_path / "taught", report)
    assert lessons.stat().st_mtime_ns == before
    assert [value for name, value in told if name == "teacher"] == [own[0], own[0]]
    assert not list((tmp_path / "taught").glob("*.partial"))


def test_trials_of_a_search_share_a_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intrinsic = synthetic_runs(runs=60)
    grid = broaden(intrinsic, SMALL, 2, tmp_path / "grid.parquet")
    materials = Materials(Source(grid, intrinsic), SMALL, split_rows(SMALL, run_hashes(grid, SMALL)), SEED, tmp_path)
    few, many = (
        materials.examples(small_preset(TeacherSettings(draws=1), 1).model_copy(update={"basis": basis}))
        for basis in (4, 8)
    )
    assert isinstance(few.space, BasisSpace)
    assert isinstance(many.space, BasisSpace)
    np.testing.assert_array_equal(few.given, many.given)
    again = Materials(materials.source, SMALL, materials.split, SEED, tmp_path)
    with monkeypatch.context() as patched:
        patched.delattr("stellar_emulator.tuning.materials.exact_lessons")  # what a killed search has, it keeps
        resumed = again.examples(small_preset(TeacherSettings(draws=1), 1).model_copy(update={"basis": 8}))
    assert isinstance(resumed.space, BasisSpace)
    np.testing.assert_array_equal(resumed.space.targets, many.space.targets)
    assert len(few.given) == 60 + len(intrinsic_split(SMALL, intrinsic).train)
    unscaled = [space.targets * space.scale for space in (few.space, many.space)]
    np.testing.assert_allclose(unscaled[0], unscaled[1][:, :4], rtol=1e-5, atol=1e-6)
    alone = materials.examples(small_preset(None, 1))
    assert len(alone.given) == 60


def test_a_preset_states_its_teacher(tmp_path: Path) -> None:
    path = tmp_path / "preset.yaml"
    path.write_text(json.dumps(small_preset(TeacherSettings(draws=8), 1).model_dump(mode="json", exclude_none=True)))
    assert read_preset(str(path)).teacher == TeacherSettings(draws=8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"family": "learned", "basis": None}, "a teacher predicts principal components"),
        ({"teacher": {"draws": 0}}, "draws"),
        ({"teacher": {"draws": 8, "kernel": "rbf"}}, "kernel"),
    ],
)
def test_wrong_teachers_are_refused(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    content = small_preset(TeacherSettings(draws=8), 1).model_dump(mode="json", exclude_none=True)
    path = tmp_path / "preset.yaml"
    path.write_text(json.dumps(content | changes))
    with pytest.raises(InputError, match=words):
        read_preset(str(path))
