"""Intrinsic spectra as sums of principal components, which need a tenth of the space.

Components are those of the spectra as the contract's sharpest instrument sees them, where alone a loss could show
(Connolly et al. 1995, AJ 110, 1071, with that instrument's metric). What they miss is left to `corrections`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import Broadening
from stellar_emulator.errors import InputError
from stellar_emulator.system.files import new_file

MOST_COMPONENTS = 200
"""More make corrections fewer, but take room: with 163 the whole grid of stars is 7 % larger, with 255 3 % smaller."""

COEFFICIENT_ERROR = 2e-6
"""Change of broadened flux, as a root mean square over the spectrum, by the rounding of one coefficient."""

SHAPE_ERROR = 4e-5
"""Change of flux by the rounding of one component's shape, as a root mean square, for the run that has most of it."""

_RIDGE = 1e-9
"""Keeps least squares solvable where spectra have no lines at all; components have squares of 1."""

_COUNTS = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Components:
    """Shapes that spectra are sums of: ``counts`` x ``scales`` is flux.

    counts: int16, shape (components, bins); scales: float64, shape (components,).
    """

    counts: NDArray[np.int16]
    scales: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scales)

    @property
    def shapes(self) -> NDArray[np.float32]:
        """Flux of each for a coefficient of 1, (components, bins); broadened, its root mean square is near 1."""
        return np.asarray(self.counts * self.scales[:, np.newaxis].astype(np.float32), dtype=np.float32)

    def flux(self, coefficients: NDArray[np.int32]) -> NDArray[np.float32]:
        """Normalised flux of runs, (runs, components) to (runs, bins), for coefficients in counts."""
        return np.asarray(1.0 + (coefficients * _step(COEFFICIENT_ERROR)).astype(np.float32) @ self.shapes)


def components_of(flux: NDArray[np.float32], view: Broadening) -> Components:
    """Components of runs, (runs, bins), the strongest first, without those that rounding would efface."""
    lines = flux.astype(np.float64) - 1.0
    modes = view.modes(lines).astype(np.float64)
    squares, mixtures = np.linalg.eigh(modes @ modes.T)
    strengths, mixtures = np.sqrt(np.maximum(squares[::-1], _RIDGE**2)), mixtures[:, ::-1]
    largest = np.abs(mixtures * strengths).max(axis=0)
    count = max(1, min(MOST_COMPONENTS, np.count_nonzero(largest > SHAPE_ERROR)))
    shapes = mixtures[:, :count].T @ lines / strengths[:count, np.newaxis]
    scales = np.maximum(_step(SHAPE_ERROR) / largest[:count], np.abs(shapes).max(axis=1) / _COUNTS)
    return Components(np.rint(shapes / scales[:, np.newaxis]).astype(np.int16), scales)


def coefficients_of(flux: NDArray[np.float32], components: Components, view: Broadening) -> NDArray[np.int32]:
    """Least-squares coefficients in the instrument's metric, in counts, (runs, bins) to (runs, components)."""
    design, target = (view.modes(one).astype(np.float64) for one in (components.shapes, flux - 1.0))
    exact = np.linalg.solve(design @ design.T + _RIDGE * np.eye(len(design)), design @ target.T).T
    return np.asarray(np.rint(exact / _step(COEFFICIENT_ERROR)), dtype=np.int32)


def _step(error: float) -> float:
    """Step of rounding that has a root mean square error."""
    return float(np.sqrt(12.0) * error)


def write_components(path: Path, components: Components) -> None:
    """Write components as one Parquet file, atomically."""
    counts = pa.FixedSizeListArray.from_arrays(pa.array(components.counts.ravel()), components.counts.shape[1])
    with new_file(path) as partial:
        pq.write_table(
            pa.table({"scale": components.scales, "counts": counts}),
            partial,
            compression="zstd",
            compression_level=19,
            use_dictionary=False,
            column_encoding={"counts.list.element": "BYTE_STREAM_SPLIT"},
        )


def read_components(path: Path) -> Components:
    """Read one file of components. Raises `InputError` if it is cut short."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is no whole Parquet file: restore it, or make the compact grid again") from error
    counts = np.asarray(table["counts"].combine_chunks().flatten()).reshape(table.num_rows, -1)
    return Components(counts, table["scale"].to_numpy())
