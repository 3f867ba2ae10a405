"""Numbers that are taken of each spectrum, because the contract's expectations ask for them.

All functions take finite flux (rows, pixels) and return one value a spectrum, shape (rows,).
"""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.expectation_limits import LINE_WIDTH, MEAN_FLUX, depth_of

Flux = NDArray[np.float32]
Numbers = NDArray[np.float64]

CONTINUUM = "continuum"
CONTRAST = "contrast"
CLIPPED = "clipped_pixels"
REPEATED = "repeated_pixels"
SPIKE = "spike"
SPIKE_PIXEL = "spike_pixel"
"""Columns of the summaries."""

BANDS = 10
"""Equal parts of the wavelength axis whose mean fluxes tell which spectra look alike."""

_CORE_PIXELS = 5
_DECIMALS = 6

# Differences of this order vanish for smooth curves, and make a lone pixel's height this binomial coefficient of it.
_ORDER = 6
_CENTRAL = 20


def position_of(line: str) -> str:
    """Column of a line's centroid against its place, in Angstrom."""
    return f"position {line}"


def centroid_of(line: str, half_width: float) -> str:
    """Column of a line's centroid over a window, against its place, in Angstrom."""
    return f"centroid {line} within {half_width:g}"


def band(number: int) -> str:
    """Column of a band's mean flux."""
    return f"band {number}"


def measure(flux: Flux, contract: Contract) -> dict[str, Numbers]:
    """Take every measure that the contract's expectations need, by column."""
    limits, axis = contract.expectations, contract.wavelength
    found: dict[str, Numbers] = {}
    if limits.continuum:
        found[CONTINUUM] = _quantile(flux, limits.continuum.quantile)
    if limits.contrast:
        found[CONTRAST] = _double(flux.max(axis=1) - flux.min(axis=1))
    if limits.clipped_pixels:
        bounds = np.float32(contract.flux.lower), np.float32(contract.flux.upper)
        found[CLIPPED] = ((flux == bounds[0]) | (flux == bounds[1])).sum(axis=1).astype(np.float64)
    if limits.repeated_pixels:
        found[REPEATED] = _longest_repeat(flux)
    similar = bool(limits.label_residual or limits.local_fit)
    statistical = bool(limits.rank_correlation or similar)
    if limits.spike or statistical:
        found |= _differences(flux, axis.width)
    if statistical:
        found[MEAN_FLUX] = _double(flux.mean(axis=1))
    if statistical or limits.line_depth:
        found |= {depth_of(line): _depth(flux, axis, place) for line, place in line_places(contract).items()}
    if similar:
        edges = np.linspace(0, flux.shape[1], BANDS + 1).astype(int)
        sums = np.add.reduceat(flux, edges[:-1], axis=1) / np.diff(edges)
        found |= {band(number): _double(sums[:, number]) for number in range(BANDS)}
    for position in limits.line_position:
        place = line_centre(contract, position.line)
        found[position_of(position.line)] = _centroid(flux, axis, place, position.half_width)
    places = line_places(contract)
    for one in limits.line_place:
        if one.line in places:
            found[centroid_of(one.line, one.half_width)] = _centroid(flux, axis, places[one.line], one.half_width)
    return found


def residual_measures(contract: Contract) -> list[str]:
    """Columns by which `residuals.label_residuals` tells which spectra look alike."""
    depths = [depth_of(line) for line in line_places(contract) if line in contract.regions.line_cores]
    return [LINE_WIDTH, MEAN_FLUX, *depths, *(band(number) for number in range(BANDS))]


def line_centre(contract: Contract, line: str) -> float:
    """Place of a line that the contract names, in Angstrom."""
    return {**contract.regions.line_cores, **contract.expectations.lines}[line]


def line_places(contract: Contract) -> dict[str, float]:
    """Those of the contract's lines that lie on its axis, with their places."""
    pixels, lines = contract.wavelength.pixels, {**contract.regions.line_cores, **contract.expectations.lines}
    return {line: place for line, place in lines.items() if pixels[2] < place < pixels[-3]}


def _quantile(flux: Flux, quantile: float) -> Numbers:
    place = int(quantile * (flux.shape[1] - 1))
    return _double(np.partition(flux, place, axis=1)[:, place])


def _longest_repeat(flux: Flux) -> Numbers:
    """Number of neighbouring pixels that share one value, at most."""
    same = flux[:, 1:] == flux[:, :-1]
    longest = 1 + same.any(axis=1)
    # Few spectra have three equal pixels in a row; only those are worth a loop.
    for row in np.flatnonzero((same[:, 2:] & same[:, 1:-1]).any(axis=1)):
        changes = np.flatnonzero(np.concatenate([[True], ~same[row], [True]]))
        longest[row] = np.diff(changes).max()
    return np.asarray(longest, dtype=np.float64)


def _differences(flux: Flux, width: float) -> dict[str, Numbers]:
    """Width of the lines and the worst spike, from differences between neighbouring pixels.

    That of the lines is ``width``, a pixel's, times the root of the summed squares of first over second differences, in
    Angstrom: what a blur does to it hardly depends on which lines there are. The spike is the largest distance of a
    pixel from the curve of fifth order through its six neighbours.
    """
    difference = flux[:, 1:] - flux[:, :-1]
    first = np.einsum("ij,ij->i", difference, difference)
    difference = difference[:, 1:] - difference[:, :-1]
    second = np.einsum("ij,ij->i", difference, difference)
    for _ in range(_ORDER - 2):
        difference = difference[:, 1:] - difference[:, :-1]
    np.abs(difference, out=difference)
    pixel = difference.argmax(axis=1)
    height = difference[np.arange(len(flux)), pixel] / _CENTRAL
    with np.errstate(divide="ignore", invalid="ignore"):
        lines = np.where(second > 0, width * np.sqrt(first / second), np.nan)
    return {LINE_WIDTH: _double(lines), SPIKE: _double(height), SPIKE_PIXEL: (pixel + _ORDER // 2).astype(np.float64)}


def _depth(flux: Flux, axis: WavelengthAxis, place: float) -> Numbers:
    """1 minus the mean flux of the pixels nearest to a line's place."""
    first = axis.nearest(place) - _CORE_PIXELS // 2
    return _double(1.0 - flux[:, first : first + _CORE_PIXELS].mean(axis=1))


def _centroid(flux: Flux, axis: WavelengthAxis, place: float, half_width: float) -> Numbers:
    """Centroid of what a line takes from the mean of both ends of its window; infinite where it takes nothing."""
    window = axis.window(place, half_width)
    distance = axis.pixels[window] - place
    taken = (flux[:, window][:, [0]] + flux[:, window][:, [-1]]) / 2.0 - flux[:, window].astype(np.float64)
    total = taken.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _double(np.where(total > 0, (taken @ distance) / total, np.inf))


def _double(numbers: NDArray[np.floating]) -> Numbers:
    return np.asarray(np.round(numbers.astype(np.float64), _DECIMALS), dtype=np.float64)
