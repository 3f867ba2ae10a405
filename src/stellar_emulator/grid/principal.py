"""Intrinsic spectra as sums of principal components: a tenth of the space, the loss bounded at every broadened pixel.

Components are those of the spectra as the contract's sharpest instrument sees them, where alone a loss could show
(Connolly et al. 1995, AJ 110, 1071, with that instrument's metric). A grid that grows appends components for what the
earlier ones miss, and never changes those.
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

TOLERANCE = 5e-4
"""Largest loss allowed at any broadened pixel, normalised flux."""

MOST_COMPONENTS = 850
"""With which a run still takes less than 2 kB."""

_RESOLVED = 8
"""Components to which the smallest sufficient number is sought."""

_COUNTS = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Components:
    """Shapes that spectra are sums of: ``scales`` x ``counts`` is flux.

    counts: int16, shape (components, bins); scales: float64, shape (components,); coefficient_scales: float64, one
    count of a run's coefficient, shape (components,).
    """

    counts: NDArray[np.int16]
    scales: NDArray[np.float64]
    coefficient_scales: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scales)

    @property
    def shapes(self) -> NDArray[np.float32]:
        """Flux of each for a coefficient of 1, (components, bins)."""
        return np.asarray(self.counts * self.scales[:, None].astype(np.float32), dtype=np.float32)

    def and_(self, more: "Components") -> "Components":
        """These, then more."""
        return Components(
            np.concatenate([self.counts, more.counts]),
            np.concatenate([self.scales, more.scales]),
            np.concatenate([self.coefficient_scales, more.coefficient_scales]),
        )

    def flux(self, coefficients: NDArray[np.int16]) -> NDArray[np.float32]:
        """Normalised flux of runs, (runs, components or fewer) to (runs, bins)."""
        count = coefficients.shape[1]
        weights = (coefficients * self.coefficient_scales[:count]).astype(np.float32)
        return np.asarray(1.0 + weights @ self.shapes[:count], dtype=np.float32)


def none_of(bins: int) -> Components:
    """What a new grid begins with."""
    return Components(np.zeros((0, bins), dtype=np.int16), np.zeros(0), np.zeros(0))


def compressed(
    flux: NDArray[np.float32], known: Components, convolve: Broadening
) -> tuple[NDArray[np.int16], Components]:
    """Coefficients of runs, flux (runs, bins), by known components and the further ones that they need, which follow.

    Raises
    ------
    InputError
        If a run would need more than `MOST_COMPONENTS`.
    """
    left = flux.astype(np.float64) - 1.0
    if len(known):
        counts, left = _projected(left, known, convolve)
    else:
        counts = np.zeros((len(flux), 0), dtype=np.int16)
    more = none_of(flux.shape[1])
    if _loss(left, convolve).max() > TOLERANCE:
        added, more = _further(left, convolve)
        counts = np.concatenate([counts, added], axis=1)
    if counts.shape[1] > MOST_COMPONENTS:
        raise InputError(
            f"these runs need {counts.shape[1]} principal components, at most {MOST_COMPONENTS} fit into 2 kB a run: "
            "keep their spectra as they are"
        )
    return counts, more


def losses(flux: NDArray[np.float32], kept: NDArray[np.float32], convolve: Broadening) -> NDArray[np.float64]:
    """Largest difference that each run shows at any pixel of the sharpest instrument, shape (runs,)."""
    return _loss(flux.astype(np.float64) - kept, convolve)


def _loss(left: NDArray[np.float64], convolve: Broadening) -> NDArray[np.float64]:
    return np.asarray(np.abs(convolve.synthesis(convolve.modes(left))).max(axis=1), dtype=np.float64)


def _projected(
    left: NDArray[np.float64], known: Components, convolve: Broadening
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Least-squares coefficients in the instrument's metric, and what they leave."""
    shapes = known.shapes.astype(np.float64)
    design, target = (convolve.modes(one).astype(np.float64) for one in (shapes, left))
    normal = design @ design.T
    normal[np.diag_indices(len(normal))] *= 1.0 + 1e-10
    exact = np.linalg.solve(normal, design @ target.T).T
    counts = np.clip(np.rint(exact / known.coefficient_scales), -_COUNTS, _COUNTS).astype(np.int16)
    return counts, left - (counts * known.coefficient_scales) @ shapes


def _further(left: NDArray[np.float64], convolve: Broadening) -> tuple[NDArray[np.int16], Components]:
    modes = convolve.modes(left).astype(np.float64)
    strengths, mixtures = np.linalg.eigh(modes @ modes.T)
    mixtures = mixtures[:, np.argsort(-strengths)]
    enough, too_few = len(left), 0
    best = _quantised(mixtures, mixtures.T @ left)
    while enough - too_few > _RESOLVED:
        count = (enough + too_few) // 2
        counts, found = _quantised(mixtures[:, :count], mixtures[:, :count].T @ left)
        if _loss(left - (counts * found.coefficient_scales) @ found.shapes, convolve).max() <= TOLERANCE:
            enough, best = count, (counts, found)
        else:
            too_few = count
    return best


def _quantised(exact: NDArray[np.float64], shapes: NDArray[np.float64]) -> tuple[NDArray[np.int16], Components]:
    """Coefficients (runs, components) and shapes (components, bins), rounded."""
    scales = np.maximum(np.abs(shapes).max(axis=1), 1e-12) / _COUNTS
    coefficient_scales = np.maximum(np.abs(exact).max(axis=0), 1e-12) * 1.5 / _COUNTS
    counts = np.rint(shapes / scales[:, None]).astype(np.int16)
    return np.rint(exact / coefficient_scales).astype(np.int16), Components(counts, scales, coefficient_scales)


def write_components(path: Path, components: Components) -> None:
    """Write components as one Parquet file, atomically."""
    bins = components.counts.shape[1]
    table = pa.table(
        {
            "scale": components.scales,
            "coefficient_scale": components.coefficient_scales,
            "counts": pa.FixedSizeListArray.from_arrays(pa.array(components.counts.ravel()), bins),
        }
    )
    with new_file(path) as partial:
        pq.write_table(
            table,
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
    return Components(counts, table["scale"].to_numpy(), table["coefficient_scale"].to_numpy())
