"""Data that all trials of a search share, prepared once: principal components, targets, and validation spectra."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.grid.source import Source
from stellar_emulator.grid.split import SplitRows
from stellar_emulator.grid.store import Rows
from stellar_emulator.networks.basis import Basis, fit_basis, fit_grid_basis, project_grid
from stellar_emulator.networks.preset import Preset, TeacherSettings
from stellar_emulator.training.space import PixelSpace, basis_space, row_weights
from stellar_emulator.training.teacher import Lessons, kept_lessons
from stellar_emulator.training.train_emulator import (
    LESSONS,
    Examples,
    exact_examples,
    exact_lessons,
    intrinsic_split,
    intrinsic_targets,
    learned_examples,
)
from stellar_emulator.tuning.hypermodel import BASES

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Projected:
    """The largest basis that a trial may use, and the coefficients of every example in it."""

    basis: Basis
    coefficients: Array

    def first(self, components: int) -> tuple[Basis, Array]:
        """Only the leading components, with their coefficients."""
        basis = self.basis
        leading = Basis(basis.mean, basis.components[:components], basis.variance[:components])
        return leading, self.coefficients[:, :components]


class Materials:
    """Training and validation runs of a grid as trials need them; nothing is taken from test runs.

    Principal components are fitted once, to the largest number that a trial may use; smaller numbers are the leading
    ones. The lessons of a teacher are also made once, and kept in ``folder``.
    """

    def __init__(self, source: Source, contract: Contract, split: SplitRows, seed: int, folder: Path) -> None:
        self.source, self.contract, self.split, self.seed, self.folder = source, contract, split, seed, folder
        self._lessons: dict[TeacherSettings, Lessons] = {}

    @cached_property
    def validation(self) -> Rows:
        """The spectra by which every trial is judged."""
        return read_part(self.source.grid, self.split.validation, self.contract.sampling.seed)

    def examples(self, preset: Preset) -> Examples:
        """The examples from which the networks of a preset learn."""
        if preset.family == "exact":
            assert self.source.intrinsic is not None
            basis, coefficients = self._exact.first(preset.basis or 1)
            lessons = None if preset.teacher is None else self._taught(preset.teacher, len(basis.components))
            intrinsic, inputs = self.source.intrinsic, preset.inputs
            return exact_examples(intrinsic, self.contract, basis, coefficients, self.seed, inputs, lessons)
        if preset.basis is None:
            pixels = PixelSpace(self.source.grid, self.split, self.seed)
            return learned_examples(self.source.grid, self.split, self.contract, pixels, preset.inputs)
        basis, coefficients = self._learned.first(preset.basis)
        weights = row_weights(self.source.grid, self.split)
        space = basis_space(basis, coefficients, self.split, self.seed, weights)
        return learned_examples(self.source.grid, self.split, self.contract, space, preset.inputs)

    @cached_property
    def _exact(self) -> _Projected:
        assert self.source.intrinsic is not None
        targets = intrinsic_targets(self.contract, self.source.intrinsic)
        train = intrinsic_split(self.contract, self.source.intrinsic).train
        basis = fit_basis(targets[train], max(BASES), self.seed)
        return _Projected(basis, basis.project(targets))

    def _taught(self, teacher: TeacherSettings, components: int) -> Lessons:
        """A teacher's predictions, in the leading components."""
        if teacher not in self._lessons:
            assert self.source.intrinsic is not None
            given = (self.source.intrinsic, self.contract, self._exact.coefficients, teacher, self.seed)
            settings = "_".join(f"{name}_{value}" for name, value in teacher.model_dump().items())
            path = self.folder / f"{settings}_{LESSONS}"
            self._lessons[teacher] = kept_lessons(path, lambda: exact_lessons(*given))
        lessons = self._lessons[teacher]
        return replace(lessons, targets=lessons.targets[:, :components])

    @cached_property
    def _learned(self) -> _Projected:
        basis = fit_grid_basis(self.source.grid, self.split.train, max(BASES), self.seed)
        return _Projected(basis, project_grid(self.source.grid, basis, noisy=True))
