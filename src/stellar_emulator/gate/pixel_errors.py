"""Errors of every pixel and of every line by part of the box, summed up chunk by chunk."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.regions import ALL, BOX, bin_name, region_rows
from stellar_emulator.grid.sampling import warped

TENTHS = 10
"""Parts of each label's range, equally likely under the sampling density, whose errors are looked at apart."""

LEAST_SPECTRA = 32
"""In a part; smaller ones are left out."""

PROMINENCE = 0.02
"""Of a line in the mean spectrum of a region, for it to be looked at by itself."""

FAINTEST = 0.01
"""Mean depth over a line's window below which its equivalent width counts as this: shares of nothing mean nothing."""


@dataclass(frozen=True)
class Lines:
    """Lines of a contract: its own by name, and those that mean spectra show.

    windows: width of each pixel inside a line's window, 0 outside, (pixels, lines).
    """

    names: tuple[str, ...]
    windows: NDArray[np.float32]


@dataclass(frozen=True)
class PixelErrors:
    """RMS errors by part of the box.

    names: of the parts. rms: of each pixel (parts, pixels). width_error, width: of each line's equivalent width, and
    that width itself, (parts, lines), in the axis's unit. largest: error of any pixel of any spectrum; largest_at: that
    one's labels (labels,).
    """

    names: tuple[str, ...]
    rms: NDArray[np.float64]
    lines: tuple[str, ...]
    width_error: NDArray[np.float64]
    width: NDArray[np.float64]
    largest: float
    largest_at: NDArray[np.float64]

    @property
    def width_ratio(self) -> NDArray[np.float64]:
        """Error of each line's equivalent width over that width, (parts, lines)."""
        return self.width_error / self.width


class PixelSums:
    """Sums of squares over spectra that are added chunk by chunk."""

    def __init__(self, contract: Contract, lines: Lines) -> None:
        self.contract, self.lines = contract, lines
        self.count: dict[str, int] = {}
        self.share: dict[str, float] = {}
        self.pixel: dict[str, NDArray[np.float64]] = {}
        self.error: dict[str, NDArray[np.float64]] = {}
        self.width: dict[str, NDArray[np.float64]] = {}
        self.largest, self.largest_at = -1.0, contract.lower

    def add(
        self,
        labels: NDArray[np.float64],
        weight: NDArray[np.float64],
        computed: NDArray[np.float32],
        difference: NDArray[np.float32],
    ) -> None:
        """Add spectra of flux (n, pixels), generated minus computed ``difference``, at labels (n, labels)."""
        worst = np.abs(difference).max(axis=1)
        row = int(np.argmax(worst))
        if not worst[row] <= self.largest:
            self.largest, self.largest_at = float(worst[row]), labels[row]
        parts = parts_of(self.contract, labels)
        shares = np.stack([np.where(rows, weight if name == BOX else 1.0, 0.0) for name, rows in parts.items()])
        share = shares.astype(np.float32)
        pixel = share @ difference**2
        error = share @ (difference @ self.lines.windows) ** 2
        width = share @ ((1.0 - computed) @ self.lines.windows) ** 2
        for i, (name, rows) in enumerate(parts.items()):
            self.count[name] = self.count.get(name, 0) + int(rows.sum())
            self.share[name] = self.share.get(name, 0.0) + float(shares[i].sum())
            for sums, found in ((self.pixel, pixel), (self.error, error), (self.width, width)):
                sums[name] = sums.get(name, 0.0) + found[i].astype(np.float64)

    def errors(self) -> PixelErrors:
        """Roots of the means, of the parts that hold enough spectra; the whole box is always one."""
        names = [name for name, count in self.count.items() if name == BOX or count >= LEAST_SPECTRA]
        faintest = FAINTEST * self.lines.windows.sum(axis=0)
        return PixelErrors(
            tuple(names),
            self._roots(self.pixel, names),
            self.lines.names,
            self._roots(self.error, names),
            np.maximum(self._roots(self.width, names), faintest),
            self.largest,
            self.largest_at,
        )

    def _roots(self, sums: Mapping[str, NDArray[np.float64]], names: list[str]) -> NDArray[np.float64]:
        return np.stack([np.sqrt(sums[name] / self.share[name]) for name in names])


def parts_of(contract: Contract, labels: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Rows of the box, of each of the contract's regions, and of each tenth of every label."""
    found = {name: rows for name, rows in region_rows(contract, labels).items() if name != ALL}
    for column, label in enumerate(contract.labels):
        edges = warped(label, np.linspace(0.0, 1.0, TENTHS + 1))
        number = np.searchsorted(edges[1:-1], labels[:, column], side="right")
        for tenth, (lower, upper) in enumerate(pairwise(edges)):
            found[bin_name(label.name, lower, upper)] = number == tenth
    return found


def find_lines(contract: Contract, labels: NDArray[np.float64], flux: NDArray[np.float32]) -> Lines:
    """The contract's line cores, and the lines that the mean of some spectra (n, pixels) shows in any region."""
    from scipy.signal import find_peaks

    axis, half = contract.wavelength, contract.regions.line_core_half_width
    named = {name: (centre, half) for name, centre in contract.regions.line_cores.items() if axis.holds(centre)}
    for rows in region_rows(contract, labels).values():
        if rows.sum() < LEAST_SPECTRA:
            continue
        peaks, _ = find_peaks(1.0 - flux[rows].mean(axis=0), prominence=PROMINENCE)
        for place in axis.pixels[peaks].tolist():
            if all(abs(place - centre) > half / 2.0 for centre, _ in named.values()):
                named[f"line at {place:.6g}"] = (place, half / 2.0)
    near = [np.abs(axis.pixels - centre) <= width for centre, width in named.values()]
    windows = (
        np.stack([np.where(window, axis.widths, 0.0) for window in near], axis=1) if near else np.zeros((axis.count, 0))
    )
    return Lines(tuple(named), windows.astype(np.float32))
