"""Which model that comes with the package goes on where the grid of another one ends."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.models.pair import shipped_contracts

REACH = 0.75
"""Least share of the wavelength range that a model which goes on has, too."""


def that_goes_on(
    contract: Contract, labels: NDArray[np.float64], place: int, *, above: bool
) -> tuple[str, float] | None:
    """The shipped pair that goes on beyond a bound of a label and holds the others, and how far; None if there is none.

    The one with the same wavelength axis is preferred, then one with the same medium, then the one that goes farthest.

    Parameters
    ----------
    contract
        Contract of the model whose grid ends.
    labels
        A star's, in the contract's order, (labels,).
    place
        Of the label at whose bound the star lies.
    above
        Whether that is the upper bound; otherwise it is the lower one.
    """
    label = contract.labels[place]
    best: tuple[tuple[bool, bool, float], tuple[str, float]] | None = None
    for other in _shipped():
        theirs = next((one for one in other.labels if one.name == label.name), None)
        if theirs is None or theirs.unit != label.unit or _shared(contract, other) < REACH:
            continue
        if not _holds(other, contract, labels, place):
            continue
        bound, own = (theirs.upper, label.upper) if above else (theirs.lower, label.lower)
        farther = bound - own if above else own - bound
        order = (
            other.wavelength == contract.wavelength,
            other.wavelength.medium == contract.wavelength.medium,
            farther,
        )
        if farther > 0 and (best is None or order > best[0]):
            best = order, (other.name, bound)
    return None if best is None else best[1]


# Surveys warn of many edges.
_shipped = cache(shipped_contracts)


def _holds(other: Contract, contract: Contract, labels: NDArray[np.float64], place: int) -> bool:
    """Whether the star's other labels lie within the bounds of another contract, as far as both have them."""
    bounds = {label.name: (label.lower, label.upper) for label in other.labels}
    return all(
        bounds[label.name][0] <= value <= bounds[label.name][1]
        for number, (label, value) in enumerate(zip(contract.labels, labels, strict=True))
        if number != place and label.name in bounds
    )


def _shared(contract: Contract, other: Contract) -> float:
    """Share of a contract's wavelength range that another one has; the 2 Angstrom between air and vacuum are nothing
    here."""
    ours, theirs = contract.wavelength, other.wavelength
    return (min(ours.stop, theirs.stop) - max(ours.start, theirs.start)) / (ours.stop - ours.start)
