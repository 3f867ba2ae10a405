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
from scipy.stats import qmc
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.grid.sampling import even_places
from stellar_emulator.grid.split import SplitRows
from stellar_emulator.networks.coordinates import scaled_coordinates
from stellar_emulator.system.cores import side_by_side
from stellar_emulator.system.files import new_file

Array = NDArray[np.float32]

RUNS_LEARNED = 12288
"""Largest number of runs that the process learns, drawn by seed: its covariance matrix takes 8 bytes per pair."""

RUNS_SCALED = 768
COMPONENTS_SCALED = 8
"""Numbers of runs and of leading components whose likelihood determines the length scales."""

LENGTHS = (0.05, 100.0)
"""Bounds of the length scales, in units of half a coordinate's range."""

ROWS_PREDICTED = 128
"""Predictions that a core makes at once: their covariances with all runs stay in the cache."""


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
    contract: Contract,
    labels: Array,
    inputs: tuple[Label, ...],
    targets: Array,
    split: SplitRows,
    count: int,
    seed: int,
) -> Lessons:
    """Learn the training runs, then predict targets at ``count`` label vectors between them.

    labels: scaled to [-1, 1], shape (runs, labels), what they are in ``inputs``; targets: shape (runs, components).
    """
    began = time.monotonic()
    teacher = Teacher(labels[split.train], inputs, targets[split.train], seed)
    seconds = time.monotonic() - began
    known = teacher(labels[split.validation])
    asked = spread_labels(contract, inputs, count, seed)
    return Lessons(asked, teacher(asked), float(np.mean((known - targets[split.validation]) ** 2)), seconds)


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

        def predict(part: slice) -> slice:
            points = scaled_coordinates(self.inputs, labels[part])
            near = covariances(self._process.kernel_, points, self._process.X_train_)
            made[part] = near @ self._process.alpha_ + self._mean
            return part

        parts = (slice(first, first + ROWS_PREDICTED) for first in range(0, len(labels), ROWS_PREDICTED))
        with (
            tqdm(total=len(labels), desc="teacher", unit="spectra", mininterval=1.0) as bar,
            threadpool_limits(1, "blas"),
        ):
            for part in side_by_side(predict, parts):
                bar.update(len(labels[part]))
        return made


def spread_labels(contract: Contract, inputs: tuple[Label, ...], count: int, seed: int) -> Array:
    """Labels spread evenly over the box, or the hull of draws in it, scaled to [-1, 1], shape (count, labels)."""
    sequence = qmc.Sobol(len(inputs), scramble=True, rng=np.random.default_rng([seed, 3]))
    return np.asarray(2.0 * even_places(contract, inputs, sequence, count) - 1.0, dtype=np.float32)


def covariances(kernel: Kernel, points: NDArray[np.float64], runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariances (n, m) of points (n, coordinates) with other ones (m, coordinates), by a kernel of `_scaled_kernel`.

    They are scikit-learn's, which takes several times as long.
    """
    found = np.zeros((len(points), len(runs)))
    for part in (kernel.k1.k1, kernel.k1.k2):
        near, far = points / part.k2.length_scale, runs / part.k2.length_scale
        made = near @ (-2.0 * far.T)
        made += np.square(near).sum(axis=1)[:, np.newaxis]
        made += np.square(far).sum(axis=1)
        np.maximum(made, 0.0, out=made)
        if isinstance(part.k2, Matern):
            made *= 3.0
            np.sqrt(made, out=made)
            kinked = made + 1.0
            np.exp(np.negative(made, out=made), out=made)
            made *= kinked
        else:
            made *= -0.5
            np.exp(made, out=made)
        made *= part.k1.constant_value
        found += made
    return found


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
