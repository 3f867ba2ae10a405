"""Errors of a model on its test set, by region of the label box, and the typical distance of spectra of the grid.

The regions are all combinations of the bins of the contract's binned labels. Errors are interpolated between the bins'
centres, so that they change as smoothly as a fit requires; beyond the outermost centres they are constant.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract

NOISE_LEVELS = (0.0, 0.005, 0.01, 0.02, 0.05)
"""Standard deviations of a pixel, S/N infinite to 20, at which inferred labels are compared with the true ones."""

QUANTILES = (0.5, 0.9, 0.99, 0.999)
"""Shares of the test spectra whose reconstruction error lies below the recorded values."""

_SEED = 1

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def emulator_measures(
    contract: Contract, labels: NDArray[np.float64], computed: NDArray[np.float32], generated: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Array ``flux_rms`` (bins, ..., pixels): generated against computed flux (n, pixels) at labels (n, labels)."""
    return {"flux_rms": rms_by_region(contract, labels, generated - computed)}


def validator_measures(
    contract: Contract,
    validator: Network,
    mean: NDArray[np.float32],
    projection: NDArray[np.float32],
    labels: NDArray[np.float64],
    computed: NDArray[np.float32],
) -> dict[str, NDArray[np.floating]]:
    """Errors of labels inferred from computed test spectra (n, pixels), and of the reconstruction of these spectra.

    Parameters
    ----------
    validator
        It maps flux (n, pixels) to labels (n, labels).
    mean, projection
        Those of the principal components, (pixels,) and (pixels, k): see `reconstructed`.

    Returns
    -------
    Arrays ``noise`` (levels,), ``label_rms`` (levels, bins, ..., labels), ``quantiles`` (shares,),
    ``reconstruction_error`` (shares,) and ``mean``.
    """
    random = np.random.default_rng(_SEED)
    by_level = []
    for noise in NOISE_LEVELS:
        noisy = computed + np.float32(noise) * random.standard_normal(computed.shape, dtype=np.float32)
        by_level.append(rms_by_region(contract, labels, validator(noisy) - labels))
    error = rms(reconstructed(computed, mean, projection) - computed)
    return {
        "noise": np.array(NOISE_LEVELS),
        "label_rms": np.stack(by_level),
        "quantiles": np.array(QUANTILES),
        "reconstruction_error": np.quantile(error, QUANTILES),
        "mean": mean,
    }


def reconstructed(
    flux: NDArray[np.float32], mean: NDArray[np.float32], projection: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Flux (n, pixels) reconstructed from its principal components.

    projection: the components, (pixels, k), orthogonal but with any norms, as in a validator's first layer.
    """
    components = projection / np.linalg.norm(projection, axis=0)
    return np.asarray(((flux - mean) @ components) @ components.T + mean)


def rms(errors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Root mean square along the last axis."""
    return np.asarray(np.sqrt(np.mean(np.square(errors), axis=-1)), dtype=np.float32)


def rms_by_region(contract: Contract, labels: NDArray[np.float64], errors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Root mean squares of errors (n, width) in each region, (bins, ..., width); of all rows for an empty region."""
    places = [_bins(contract, labels, name) for name in contract.regions.bins]
    sizes = [len(edges) - 1 for edges in contract.regions.bins.values()]
    everywhere = np.sqrt(np.mean(np.square(errors), axis=0))
    found = np.tile(everywhere.astype(np.float32), (*sizes, 1))
    for region in np.ndindex(*sizes):
        inside = np.all([place == number for place, number in zip(places, region, strict=True)], axis=0)
        if np.any(inside):
            found[region] = np.sqrt(np.mean(np.square(errors[inside]), axis=0)) if region else everywhere
    return found


def in_regions(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of labels (n, labels) lie in each region, (regions, n), in the order of a table's first axes."""
    places = [_bins(contract, labels, name) for name in contract.regions.bins]
    sizes = [len(edges) - 1 for edges in contract.regions.bins.values()]
    inside = np.ones((int(np.prod(sizes)), len(labels)), dtype=np.bool_)
    for row, region in zip(inside, np.ndindex(*sizes), strict=True):
        for place, number in zip(places, region, strict=True):
            row &= place == number
    return inside


def at_labels(contract: Contract, table: NDArray[np.floating], labels: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values of a table (bins, ..., width) at labels (n, labels), linear between the centres of bins: (n, width)."""
    places = [_between(contract, labels, name) for name in contract.regions.bins]

    def between(*bins: NDArray[np.int64]) -> NDArray[np.floating]:
        """Values with the first labels in given bins, (n,) each, and interpolated in the other labels."""
        if len(bins) == len(places):
            return np.asarray(table[bins] if bins else np.tile(table, (len(labels), 1)))
        low, share = places[len(bins)]
        high = np.minimum(low + 1, table.shape[len(bins)] - 1)
        return np.asarray(between(*bins, low) * (1.0 - share) + between(*bins, high) * share)

    return np.asarray(between(), dtype=np.float32)


def at_noise(levels: NDArray[np.floating], values: NDArray[np.floating], noise: float) -> NDArray[np.floating]:
    """Values (levels, ...) at one noise: linear between levels, and proportional to the noise beyond the last."""
    if noise >= levels[-1]:
        return np.asarray(values[-1] * (noise / levels[-1]))
    place = int(np.searchsorted(levels, noise, side="right")) - 1
    share = (noise - levels[place]) / (levels[place + 1] - levels[place])
    return np.asarray(values[place] * (1.0 - share) + values[place + 1] * share)


def _bins(contract: Contract, labels: NDArray[np.float64], name: str) -> NDArray[np.int64]:
    """Bin of each row; the outermost bins include rows beyond them."""
    inner = contract.regions.bins[name][1:-1]
    return np.digitize(labels[:, contract.label_names.index(name)], inner)


def _between(
    contract: Contract, labels: NDArray[np.float64], name: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Bin whose centre lies below each row, and the share of the way to the next centre, (n,) and (n, 1)."""
    edges = np.array(contract.regions.bins[name])
    centres = (edges[:-1] + edges[1:]) / 2.0
    place = np.interp(labels[:, contract.label_names.index(name)], centres, np.arange(len(centres)))
    low = np.floor(place).astype(np.int64)
    return low, (place - low)[:, np.newaxis]
