"""Warnings: shifts that look like the wrong medium, labels at the edge of the box, spectra that no model fits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import beyond_hull
from stellar_emulator.contract.medium import to_vacuum
from stellar_emulator.fitting.goes_on import that_goes_on
from stellar_emulator.fitting.leaps import MARGIN, Leap
from stellar_emulator.fitting.solution import Solution

EDGE = 0.002
"""Share of a label's range: nearer to a bound, the best label may lie beyond it."""

MEDIUM_ROOM = 5.0
"""Largest difference in km/s from the shift of the wrong medium that still counts as this shift."""

LEAST_SHIFT = 3.0
"""Smallest shift in km/s that is reported; differences between model and star may shift lines by less."""

MANY_DEVIATIONS = 5.0

UNLIKELY = 2.5
"""Reduced chi-square above which a fit has a warning: flux errors are wrong by six tenths, or the model is wrong.
Archives state errors that are too small by a third."""

MISSED = 2.0
"""Reduced chi-square of the spectrum generated at inferred labels, above which they are not the star's: the validator's
own errors leave less at the noise of most surveys."""

LOOSE = 0.2
"""Error of a label, over its range, above which the spectrum hardly tells it: its edge says nothing."""

LEAST_STRETCH, CERTAIN_STRETCH = 5.0, 3.5
"""Stretch of a wavelength scale, in km/s per 100 Angstrom and in its errors, above which it is found. One of 5 blurs
lines by less than most spectrographs do, and widens v sin i by little."""

MANY_SPIKES = 0.02
"""Share of the pixels, above which spikes are more than a few cosmic rays."""


def medium_shift(axis: WavelengthAxis) -> float:
    """Apparent velocity (km/s) of wavelengths in vacuum that are read as air; in the opposite case it is negative."""
    middle = (axis.start + axis.stop) / 2.0
    return float(SPEED_OF_LIGHT * (to_vacuum(middle) / middle - 1.0))


def about_velocity(axis: WavelengthAxis, velocity: float, error: float, expected: float | None) -> list[str]:
    """Warnings about a measured velocity; expected: the one that the user stated, None if none."""
    shift = medium_shift(axis)
    moved = velocity - (0.0 if expected is None else expected)
    for sign, given, true in ((1.0, "air", "vacuum"), (-1.0, "vacuum", "air")):
        if abs(moved - sign * shift) < MEDIUM_ROOM:
            return [
                f"the lines are shifted by {moved:+.1f} km/s, which is what wavelengths in {true} show when they are "
                f"read as {given}: check --medium"
            ]
    if expected is not None and abs(moved) > max(LEAST_SHIFT, MANY_DEVIATIONS * error):
        return [
            f"the lines are shifted by {moved:+.1f} km/s ({error:.1f}) against the velocity given: let "
            "--radial_velocity measure it"
        ]
    return []


def at_edges(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which labels (labels,) lie so near to a bound of the box that the best ones may lie beyond it, (labels,)."""
    room = EDGE * (contract.upper - contract.lower)
    # Zero rotation and zero turbulence are physical limits, not limits of the grid.
    natural = (contract.lower == 0.0) & (labels - contract.lower <= room)
    return np.asarray(~natural & (np.minimum(labels - contract.lower, contract.upper - labels) <= room))


def about_labels(contract: Contract, labels: NDArray[np.float64], free: NDArray[np.bool_]) -> list[str]:
    """Warnings about labels (labels,): those that are ``free`` at the edge of the box, all beyond the nodes' hull."""
    edges = at_edges(contract, labels) & free
    warnings = [
        f"{label.name} = {value:.6g} lies at the edge of the model's {label.lower:g} to {label.upper:g}"
        + _further(contract, labels, place)
        for place, (label, value, edge) in enumerate(zip(contract.labels, labels, edges, strict=True))
        if edge
    ]
    beyond = beyond_hull(contract, labels[np.newaxis])
    return warnings if beyond is None else [*warnings, beyond]


def _further(contract: Contract, labels: NDArray[np.float64], place: int) -> str:
    """Who goes on beyond the edge at which a label lies; empty if nobody does."""
    label = contract.labels[place]
    found = that_goes_on(contract, labels, place, above=bool(labels[place] > (label.lower + label.upper) / 2.0))
    return "" if found is None else f"; {found[0]} goes on to {found[1]:g} (--model {found[0]})"


def at_telling_edges(contract: Contract, solution: Solution) -> NDArray[np.bool_]:
    """Which fitted labels lie at an edge of the box, where the spectrum tells them, (labels,)."""
    error = solution.error
    told = (error > 0) & (error < LOOSE * (contract.upper - contract.lower))
    return np.asarray(at_edges(contract, solution.parameters.labels) & told)


def is_poor(solution: Solution) -> bool:
    """Whether chi-square is larger than too small errors explain, by more than correlated pixels scatter it."""
    scatter = float(np.sqrt(2.0 / max(solution.independent, 1.0)))
    return solution.reduced > max(UNLIKELY, 1.0 + MANY_DEVIATIONS * scatter)


def is_stretched(solution: Solution) -> bool:
    """Whether the wavelength scale is seen to be stretched, and the fit does not allow for it."""
    found = abs(solution.stretch)
    free = solution.parameters.stretch != 0.0
    return not free and found > max(LEAST_STRETCH, CERTAIN_STRETCH * solution.stretch_error)


def about_fit(solution: Solution, rejected: int) -> list[str]:
    """Warnings about a fit as a whole; rejected: number of pixels that are spikes."""
    found = []
    if is_poor(solution):
        found.append(
            f"nothing in the model's box fits: reduced chi-square {solution.reduced:.2f}; the flux errors are too "
            "small, or this is no single normal star of the grid"
        )
    if is_stretched(solution):
        found.append(
            f"the wavelength scale is stretched by about {solution.stretch:+.1f} km/s per 100 A "
            f"({solution.stretch_error:.1f}), which looks like rotation: let --stretch fit it"
        )
    if np.isfinite(solution.other_velocity):
        found.append(
            f"the velocity is ambiguous: {solution.other_velocity:+.0f} km/s fits nearly as well; state "
            "--radial_velocity if it is known"
        )
    if rejected > MANY_SPIKES * solution.degrees_of_freedom:
        found.append(f"{rejected} pixels stand out as spikes do, and are left out")
    return found


def about_leaps(leaps: Sequence[Leap]) -> list[str]:
    """A warning of parts that are left out since their wavelengths lie elsewhere."""
    if not leaps:
        return []
    parts = ", ".join(f"{one.start:.0f} to {one.stop:.0f} A by {one.velocity:+.0f} km/s" for one in leaps)
    return [
        f"parts lie elsewhere than the rest: {parts}; they and {MARGIN:g} A beside them are left out: the wavelength "
        "scale leaps, pixels are at fault, or lines move against each other"
    ]


def about_inferred(solution: Solution) -> list[str]:
    """Warnings about inferred labels, whose generated spectrum is the solution of a fit with labels held."""
    if solution.reduced <= MISSED:
        return []
    return [
        f"the spectrum generated at these labels leaves reduced chi-square {solution.reduced:.1f}: the validator "
        "knows computed spectra alone; the verb fit heeds how real ones differ"
    ]


def about_few_beyond(pixels: int) -> list[str]:
    """A warning of pixels whose flux lies beyond the contract's range and which were left out."""
    if not pixels:
        return []
    many = "1 pixel has" if pixels == 1 else f"{pixels} pixels have"
    return [f"{many} a flux beyond the model's range, as of noise or a continuum that is not level: left out"]


def about_reconstruction(found: float, limit: float) -> list[str]:
    """Warnings about a spectrum's distance from the validator's training spectra, with the limit for its noise."""
    if found <= limit:
        return []
    return [
        f"the spectrum lies outside the training grid: its reconstruction error {found:.2g} is beyond {limit:.2g}, "
        "which 99.9 % of such test spectra stay below; don't trust these labels"
    ]
