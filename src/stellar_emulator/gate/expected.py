"""Which of the data contract's expectations single spectra break, without any table or grid around them."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.validation import spectrum_measures

Rows = NDArray[np.bool_]


def broken(
    contract: Contract, labels: NDArray[np.float64], flux: NDArray[np.float32], place_room: float
) -> dict[str, Rows]:
    """Rows of flux (n, pixels) at labels (n, labels) that break an expectation, shape (n,), by what they break.

    place_room: share of a line's range by which its place may lie beyond it.
    """
    finite = np.asarray(np.isfinite(flux).all(axis=1))
    found = {"pixels that are no number": ~finite}
    if not finite.all():
        flux = np.where(finite[:, None], flux, np.float32(1.0))
    bounds = contract.flux
    found["flux out of range"] = finite & ((flux.min(axis=1) < bounds.lower) | (flux.max(axis=1) > bounds.upper))
    # What takes a whole grid to tell is asked of a generated grid, and not measured here.
    alone = contract.expectations.model_copy(update={"rank_correlation": (), "label_residual": None})
    measured = spectrum_measures.measure(flux, contract.model_copy(update={"expectations": alone}))
    for name, column, lower, upper in _bounds(contract):
        values = measured[column]
        outside = ~(values >= lower) if lower is not None else np.zeros(len(flux), dtype=bool)
        if upper is not None:
            outside = outside | ~(values <= upper)
        found[name] = finite & outside
    for position in contract.expectations.line_position:
        values = measured[spectrum_measures.position_of(position.line)]
        low = -np.inf if position.lower is None else position.lower
        high = np.inf if position.upper is None else position.upper
        beyond = place_room * (high - low) if np.isfinite(high - low) else 0.0
        meant = np.all([_between(contract, labels, *entry) for entry in position.where.items()] or [finite], axis=0)
        found[f"{position.line} in the wrong place"] = (
            finite & meant & ~((values >= low - beyond) & (values <= high + beyond))
        )
    return found


def _bounds(contract: Contract) -> list[tuple[str, str, float | None, float | None]]:
    """Name, column of the measures, lower and upper bound of what is expected of each spectrum's shape."""
    limits, found = contract.expectations, list[tuple[str, str, float | None, float | None]]()
    if limits.continuum:
        found.append(("continuum", spectrum_measures.CONTINUUM, limits.continuum.lower, limits.continuum.upper))
    if limits.contrast:
        found.append(("flat spectra", spectrum_measures.CONTRAST, limits.contrast.lower, None))
    if limits.clipped_pixels:
        found.append(("clipped pixels", spectrum_measures.CLIPPED, None, limits.clipped_pixels.upper))
    if limits.repeated_pixels:
        found.append(("repeated pixels", spectrum_measures.REPEATED, None, limits.repeated_pixels.upper))
    if limits.spike:
        found.append(("spikes", spectrum_measures.SPIKE, None, limits.spike.upper))
    return found


def _between(contract: Contract, labels: NDArray[np.float64], name: str, range_: tuple[float, float]) -> Rows:
    column = labels[:, contract.label_names.index(name)]
    return np.asarray((column >= range_[0]) & (column <= range_[1]))
