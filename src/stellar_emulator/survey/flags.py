"""The flags of a survey's rows: one bit each, with its meaning; a good fit of a good star has none."""

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import beyond_hull
from stellar_emulator.fitting import warn
from stellar_emulator.fitting.estimate import Fitted
from stellar_emulator.fitting.residuals import bent, companion, emission, left_of
from stellar_emulator.fitting.sharpness import about_bluntness
from stellar_emulator.fitting.warn import CERTAIN_STRETCH, LEAST_STRETCH, MANY_SPIKES, UNLIKELY

LOW_SNR, FEW = 10.0, 0.3
"""Signal-to-noise ratio of a pixel, and share of the model's axis, below which a row has a flag."""

SURE = 1e-3
"""Probability that a star of one velocity has such velocities, below which a row has a flag."""

FILLED, FILLED_BY_CHROMOSPHERE, CERTAIN = 0.05, 0.06, 5.0
"""Mean excess of the Ca II cores over the continuum, of models in LTE and with departures, and over its error, beyond
which they count as filled. Computed cores of quiet stars are wrong by less; chromospheres, of which models with
departures know nothing, fill those of quiet dwarfs by 0.02 to 0.054 (five stars, on which the limit was chosen)."""

SECOND, SECOND_CERTAIN = 0.05, 7.0
"""Depth of another star's lines over that of the fitted ones, and over its error, beyond which there are two stars."""

ABOVE, BENT = 0.1, 0.03
"""Flux above the continuum over an Angstrom, and off the fit over 30, beyond which a row has a flag."""


class Flag(IntFlag):
    """What is to be known of one row."""

    NOT_FITTED = 1 << 0
    POOR_FIT = 1 << 1
    FEW_PIXELS = 1 << 2
    LOW_SNR = 1 << 3
    CA_II_FILLED = 1 << 4
    BEYOND_HULL = 1 << 5
    VELOCITY_AMBIGUOUS = 1 << 6
    WAVELENGTH_SCALE = 1 << 7
    BINARY_SUSPECTED = 1 << 8
    EMISSION = 1 << 9
    NORMALISATION = 1 << 10
    SPIKES = 1 << 11
    VELOCITY_VARIES = 1 << 12
    DOUBLE_LINED = 1 << 13
    LOW_RESOLUTION = 1 << 14


MEANING = {
    Flag.NOT_FITTED: "the spectrum can't be used; the column warning says why",
    Flag.POOR_FIT: f"reduced chi-square above {UNLIKELY:g}: errors too small, or no single normal star of the model's "
    "box",
    Flag.FEW_PIXELS: f"less than {FEW:.0%} of the model's axis was seen",
    Flag.LOW_SNR: f"signal-to-noise ratio by pixel below {LOW_SNR:g}",
    Flag.CA_II_FILLED: f"the Ca II cores are shallower than the model's, by more than {CERTAIN:g} errors and "
    "{filled:.0%} of the continuum",
    Flag.BEYOND_HULL: "the labels lie beyond the hull of the grid's runs: atmospheres are extrapolated there",
    Flag.VELOCITY_AMBIGUOUS: "another velocity fits nearly as well",
    Flag.WAVELENGTH_SCALE: f"the wavelength scale is stretched by more than {LEAST_STRETCH:g} km/s per 100 Angstrom "
    f"and {CERTAIN_STRETCH:g} errors, so that lines are blurred as by rotation, or leaps",
    Flag.BINARY_SUSPECTED: f"the residuals show lines at another velocity, {SECOND:.0%} as deep as the fitted ones or "
    f"more, by {SECOND_CERTAIN:g} errors",
    Flag.EMISSION: f"flux rises above the continuum by more than {ABOVE:.0%} over an Angstrom",
    Flag.NORMALISATION: f"flux departs from the fit by more than {BENT:.0%} over 30 Angstrom: the continuum is bent",
    Flag.SPIKES: f"more than {MANY_SPIKES:.0%} of the pixels were left out, since they stand out as spikes do",
    Flag.VELOCITY_VARIES: f"a star of one velocity has such velocities of its epochs by a chance below {SURE:g}",
    Flag.DOUBLE_LINED: "epochs show lines of a second star that move against the first's",
    Flag.LOW_RESOLUTION: "the spectrum's stated resolution is below the model's smallest",
}

FIRST_EDGE = 16
"""Bit of the first label's edge; those of the contract's other labels follow in order."""


def edge_of(label: int) -> int:
    """Bit of a label, by its number in the contract, that lies at an edge of the model's box."""
    return 1 << (FIRST_EDGE + label)


def meanings(contract: Contract) -> dict[int, str]:
    """Each bit's value, name and meaning in one line, for a contract's rows."""
    filled = filled_from(contract)
    told = {
        int(flag): f"{flag.name}: {text.replace('{filled:.0%}', f'{filled:.0%}')}" for flag, text in MEANING.items()
    }
    edges = {
        edge_of(number): f"EDGE_{label.name.upper()}: at an edge of {label.lower:g} to {label.upper:g}"
        for number, label in enumerate(contract.labels)
    }
    return {**told, **edges}


def flags_of(contract: Contract, one: Fitted, snr: float, calcium: tuple[float, float]) -> int:
    """The flags of a fit; snr: signal-to-noise ratio of a pixel; calcium: excess of the Ca II cores, and its error."""
    solution, spectrum = one.solution, one.spectrum
    axis, covered = contract.wavelength, spectrum.wavelength[spectrum.usable]
    gaps = np.diff(covered)
    seen = float(np.minimum(gaps, 3.0 * np.median(gaps)).sum())
    left = left_of(spectrum, solution)
    other = companion(left)
    labels = solution.parameters.labels
    raised = {
        Flag.POOR_FIT: warn.is_poor(solution),
        Flag.FEW_PIXELS: seen < FEW * (axis.stop - axis.start),
        Flag.LOW_SNR: snr < LOW_SNR,
        Flag.CA_II_FILLED: calcium[0] > max(filled_from(contract), CERTAIN * calcium[1]),
        Flag.BEYOND_HULL: beyond_hull(contract, labels[np.newaxis]) is not None,
        Flag.VELOCITY_AMBIGUOUS: bool(np.isfinite(solution.other_velocity)),
        Flag.WAVELENGTH_SCALE: warn.is_stretched(solution) or bool(one.leaps),
        Flag.BINARY_SUSPECTED: other.share > SECOND and other.certainty > SECOND_CERTAIN,
        Flag.EMISSION: emission(left) > ABOVE,
        Flag.NORMALISATION: bent(left) > BENT,
        Flag.LOW_RESOLUTION: bool(about_bluntness(spectrum.resolution, contract)),
        Flag.SPIKES: one.rejected > MANY_SPIKES * solution.degrees_of_freedom,
    }
    edges = warn.at_telling_edges(contract, solution)
    own = sum(int(flag) for flag, is_raised in raised.items() if is_raised)
    return own + sum(edge_of(int(number)) for number in np.flatnonzero(edges))


def filled_from(contract: Contract) -> float:
    """Mean excess of the Ca II cores from which they are filled."""
    return FILLED if contract.departures is None else FILLED_BY_CHROMOSPHERE


def names_of(flags: int, contract: Contract) -> list[str]:
    """The names of a row's flags."""
    return [text.partition(":")[0] for bit, text in meanings(contract).items() if flags & bit]


def counts(flags: NDArray[np.int64], contract: Contract) -> dict[str, int]:
    """How many of the rows, (n,), have each flag."""
    return {text.partition(":")[0]: int(((flags & bit) != 0).sum()) for bit, text in meanings(contract).items()}
