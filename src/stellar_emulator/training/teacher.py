"""A Gaussian process that interpolates between the training runs; networks of the exact family also learn from it.

With some thousands of runs a network's error is dominated by the interpolation between them. A Gaussian process
interpolates smooth functions of few labels better, but unlike a network it needs all runs for each prediction.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.stats import qmc
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, Matern, WhiteKernel
from tqdm import tqdm

from stellar_emulator.contract.label import Label
from stellar_emulator.grid.nodes import within_hull
from stellar_emulator.grid.sampling import sobol_points
from stellar_emulator.grid.split import SplitRows
from stellar_emulator.networks.coordinates import scaled_coordinates
from stellar_emulator.system.files import new_file

Array = NDArray[np.float32]

RUNS_LEARNED = 12288
"""Largest number of runs that the process learns, drawn by seed: its covariance matrix takes 8 bytes per pair."""

RUNS_SCALED = 768
COMPONENTS_SCALED = 8
"""Numbers of runs and of leading components whose likelihood determines the length scales."""

LENGTHS = (0.05, 100.0)
"""Bounds of the length scales, in units of half a coordinate's range."""

LEAST_LESSONS = 16384
"""Predictions of a blended teacher at least: with fewer, networks follow it less closely than it knows the spectra."""

MOST_DOUBLINGS = 6
BEYOND = 0.1
"""Distance beyond the hull of few runs up to which their teacher is asked, in half ranges of the labels."""

PARTS_LEFT_OUT = 8
"""Parts of the runs, each of which is predicted from the others, to weight both halves of a blended teacher."""

ROWS_PREDICTED = 2048
"""Predictions made at once; their covariances with all runs must fit in memory."""


@dataclass(frozen=True)
class Lessons:
    """A teacher's predictions: labels scaled to [-1, 1], shape (n, labels), and their targets, shape (n, components).

    error: mean squared error of its targets on the validation runs; seconds: time spent on learning the training runs.
    """

    labels: Array
    targets: Array
    error: float
    seconds: float


def teach(
    labels: Array,
    inputs: tuple[Label, ...],
    targets: Array,
    split: SplitRows,
    count: int,
    seed: int,
    cubic: bool = False,
) -> Lessons:
    """Learn the training runs, then predict targets at ``count`` label vectors between them, or more.

    labels: scaled to [-1, 1], shape (runs, labels), what they are in ``inputs``; targets: shape (runs, components);
    cubic: blend the process with cubic radial basis functions, see `BlendedTeacher`.
    """
    began = time.monotonic()
    kind = BlendedTeacher if cubic else Teacher
    teacher = kind(labels[split.train], inputs, targets[split.train], seed)
    seconds = time.monotonic() - began
    known = teacher(labels[split.validation])
    asked = _asked_of_few(labels[split.train], inputs, count, seed) if cubic else spread_labels(inputs, count, seed)
    return Lessons(asked, teacher(asked), float(np.mean((known - targets[split.validation]) ** 2)), seconds)


def _asked_of_few(known: Array, inputs: tuple[Label, ...], count: int, seed: int) -> Array:
    """Labels at which a teacher of few runs is asked: those runs, and others spread over their hull, not the whole box.

    Beyond the hull cubic functions grow without bounds, and networks would spend themselves on what is never asked.
    """
    wanted, spread = max(count, LEAST_LESSONS), np.empty((0, known.shape[1]), dtype=np.float32)
    for doubling in range(MOST_DOUBLINGS):
        spread = spread_labels(inputs, wanted << doubling, seed)
        spread = spread[within_hull(known.astype(np.float64), spread.astype(np.float64), BEYOND)]
        if len(spread) >= wanted:
            break
    return np.concatenate([known, spread[:wanted]])


def kept_lessons(path: Path, make: Callable[[], Lessons]) -> Lessons:
    """Read lessons from a file; if there is none yet, make them and write the file, complete or not at all."""
    if not path.is_file():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as partial, partial.open("wb") as stream:
            np.savez(stream, labels=made.labels, targets=made.targets, error=made.error, seconds=made.seconds)
    with path.open("rb") as saved, np.load(saved) as kept:
        return Lessons(kept["labels"], kept["targets"], float(kept["error"]), float(kept["seconds"]))


class Teacher:
    """Targets of any labels, by a Gaussian process that has learned some runs.

    labels: scaled to [-1, 1], shape (runs, labels), what they are in ``inputs``; targets: shape (runs, components), the
    leading ones first. (Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, eq. 2.25 and 5.9.)
    """

    def __init__(self, labels: Array, inputs: tuple[Label, ...], targets: Array, seed: int) -> None:
        random = np.random.default_rng(seed)
        chosen = random.permutation(len(labels))[:RUNS_LEARNED]
        self.inputs = inputs
        points, self._mean = scaled_coordinates(inputs, labels[chosen]), targets[chosen].mean(axis=0)
        learned = (targets[chosen] - self._mean).astype(np.float64)
        kernel = _scaled_kernel(points[:RUNS_SCALED], learned[:RUNS_SCALED, :COMPONENTS_SCALED], seed)
        self._process = GaussianProcessRegressor(kernel, optimizer=None, copy_X_train=False).fit(points, learned)

    def __call__(self, labels: Array) -> Array:
        """Targets of labels scaled to [-1, 1], shape (n, labels) to (n, components)."""
        made = np.empty((len(labels), len(self._mean)), dtype=np.float32)
        with tqdm(total=len(labels), desc="teacher", unit="spectra", mininterval=1.0) as bar:
            for first in range(0, len(labels), ROWS_PREDICTED):
                part = slice(first, first + ROWS_PREDICTED)
                made[part] = self._process.predict(scaled_coordinates(self.inputs, labels[part])) + self._mean
                bar.update(len(labels[part]))
        return made

    def left_out(self, labels: Array, targets: Array, part: NDArray[np.int64]) -> Array:
        """Targets of all runs, each predicted without its part; the kernel stays. part: its number, (runs,)."""
        points, made = scaled_coordinates(self.inputs, labels), np.empty_like(targets)
        for number in np.unique(part):
            kept = part != number
            mean = targets[kept].mean(axis=0)
            process = GaussianProcessRegressor(self._process.kernel, optimizer=None)
            process.fit(points[kept], (targets[kept] - mean).astype(np.float64))
            made[~kept] = process.predict(points[~kept]) + mean
        return made


class BlendedTeacher:
    """A weighted mean of a Gaussian process and cubic radial basis functions, for grids of few runs.

    The process learns length scales, which few runs may mislead; the functions have none. The weight is the one with
    the least error on runs left out, each counted by the inverse of its error, so that no outlier decides. Arguments as
    `Teacher`; with too few runs for the functions, the process stands alone.
    """

    def __init__(self, labels: Array, inputs: tuple[Label, ...], targets: Array, seed: int) -> None:
        self._process, self._cubic, self.share = Teacher(labels, inputs, targets, seed), None, 1.0
        part = np.random.default_rng(seed).permutation(len(labels)) % PARTS_LEFT_OUT
        try:
            without = np.empty_like(targets)
            for number in np.unique(part):
                kept = part != number
                without[~kept] = _cubic(labels[kept], targets[kept])(labels[~kept].astype(np.float64))
            self._cubic = _cubic(labels, targets)
        except (ValueError, np.linalg.LinAlgError):
            return
        self.share = _share(self._process.left_out(labels, targets, part), without, targets)

    def __call__(self, labels: Array) -> Array:
        """Targets of labels scaled to [-1, 1], shape (n, labels) to (n, components)."""
        made = self._process(labels)
        if self._cubic is None:
            return made
        other = np.asarray(self._cubic(labels.astype(np.float64)), dtype=np.float32)
        return np.asarray(self.share * made + (1.0 - self.share) * other, dtype=np.float32)


def _cubic(labels: Array, targets: Array) -> RBFInterpolator:
    return RBFInterpolator(labels.astype(np.float64), targets, kernel="cubic")


def _share(one: Array, other: Array, targets: Array) -> float:
    """Weight from 0 to 1 of ``one`` in the mean with ``other`` that is nearest to the targets, (runs, components)."""
    errors = np.linalg.norm(targets - one, axis=1) + np.linalg.norm(targets - other, axis=1)
    weight = 1.0 / np.maximum(errors, np.finfo(np.float32).tiny)[:, np.newaxis]
    apart = one - other
    square = float((weight * apart**2).sum())
    return float(np.clip((weight * apart * (targets - other)).sum() / square, 0.0, 1.0)) if square > 0.0 else 1.0


def spread_labels(inputs: tuple[Label, ...], count: int, seed: int) -> Array:
    """Labels spread evenly over the box, scaled to [-1, 1], shape (count, labels)."""
    sequence = qmc.Sobol(len(inputs), scramble=True, rng=np.random.default_rng([seed, 3]))
    return np.asarray(2.0 * sobol_points(sequence, count) - 1.0, dtype=np.float32)


def _scaled_kernel(points: NDArray[np.float64], targets: NDArray[np.float64], seed: int) -> Kernel:
    """The kernel whose length scales and noise maximise the likelihood of some targets (runs, components) of equal
    weight.

    It has a smooth part, and one with kinks like those of the networks of the atmospheres' structures (leaky ReLU).
    """
    spread = np.maximum(targets.std(axis=0), np.finfo(np.float32).tiny)
    scales, shares = np.ones(points.shape[1]), (1e-4, 1e4)
    smooth = ConstantKernel(1.0, shares) * RBF(scales, LENGTHS)
    kinked = ConstantKernel(1.0, shares) * Matern(4.0 * scales, LENGTHS, nu=1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound: the label hardly matters
        process = GaussianProcessRegressor(smooth + kinked + WhiteKernel(1e-5, (1e-9, 1e-1)), random_state=seed)
        return process.fit(points, targets / spread).kernel_
