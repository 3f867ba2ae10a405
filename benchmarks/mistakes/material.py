"""What mistakes are made with: real spectra of the embedded grid, in memory, and ways to broaden them wrongly."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator import Emulator
from stellar_emulator.broadening.broadening import Broadening, contract_broadening, resolutions
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import expanded, limb_darkening
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.store import ROWS_PER_GROUP, Grid, Rows

RUNS, REALISATIONS = 700, 8
"""5,600 spectra."""

Numbers = NDArray[np.float64]
Change = Callable[["Material"], Rows]


@dataclass(frozen=True)
class Mistake:
    """One mistake: what `do` makes of a good grid. kind: of issue and table; sentence: what went wrong, for people."""

    name: str
    kind: str
    sentence: str
    do: Change


MISTAKES: list[Mistake] = []
"""All of them, in the order of the modules that `benchmarks.mistakes.every` imports."""


def mistake(kind: str) -> Callable[[Change], Change]:
    """Enter a function into `MISTAKES` under its own name; its docstring is the sentence."""

    def enter(do: Change) -> Change:
        MISTAKES.append(Mistake(do.__name__.replace("_", " "), kind, str(do.__doc__), do))
        return do

    return enter


@dataclass(frozen=True)
class InMemory(Grid):
    """A grid whose content is at hand instead of in a file."""

    content: Rows

    @property
    def rows(self) -> int:
        return len(self.content.flux)

    @property
    def has_errors(self) -> bool:
        return self.content.flux_error is not None

    def batches(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """All rows, in parts as large as row groups."""
        for first in range(0, self.rows, ROWS_PER_GROUP):
            part = slice(first, min(self.rows, first + ROWS_PER_GROUP))
            yield part, self.content.flux[part]

    def take(self, rows: NDArray[np.int64], column: str = "flux") -> NDArray[np.float32]:
        """Flux of chosen rows."""
        return np.asarray(getattr(self.content, column)[rows])


def in_memory(
    contract: Contract, rows: Rows, name: str = "mistaken", provenance: Mapping[str, object] | None = None
) -> InMemory:
    """Rows as a grid of their contract."""
    axis = contract.wavelength
    known = dict(provenance or {"made_by": "benchmarks.mistakes"})
    grid = InMemory(Path(f"{name}.parquet"), tuple(contract.label_names), axis.pixels, axis.medium, known, rows)
    # In place of what these properties would read and keep.
    grid.__dict__.update(labels=rows.labels, run_id=rows.run_id, weight=rows.weight)
    return grid


def joined(pieces: list[Rows]) -> Rows:
    """Rows one after another."""
    columns = ("run_id", "labels", "weight", "flux")
    return Rows(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in columns))


@dataclass(frozen=True)
class Material:
    """A good grid of ``rows``, the intrinsic ``runs`` that it was made of, and an emulator of the same spectra.

    Whatever a mistake draws, it draws from ``random``.
    """

    contract: Contract
    runs: IntrinsicGrid
    rows: Rows
    emulator: Emulator
    random: np.random.Generator

    @classmethod
    def drawn(cls, contract: Contract, runs: IntrinsicGrid, emulator: Emulator, seed: int) -> "Material":
        """A broadening of some runs that no grid of the package has."""
        rows = joined(list(expanded(contract, runs, seed, REALISATIONS)))
        return cls(contract, runs, rows, emulator, np.random.default_rng(seed))

    def anew(self, seed: int) -> "Material":
        """The same with rows to spoil, and random numbers of its own."""
        rows = self.rows
        copies = Rows(rows.run_id.copy(), rows.labels.copy(), rows.weight.copy(), rows.flux.copy())
        return replace(self, rows=copies, random=np.random.default_rng(seed))

    @property
    def wavelength(self) -> Numbers:
        return self.contract.wavelength.pixels

    def column(self, label: str) -> int:
        """Of a label, among all."""
        return self.contract.label_names.index(label)

    def label(self, name: str) -> Numbers:
        """Values of a label, to be changed in place."""
        return self.rows.labels[:, self.column(name)]

    def inside(self, **ranges: tuple[float, float]) -> NDArray[np.bool_]:
        """Rows whose labels lie in all of some ranges."""
        found = np.ones(len(self.rows.labels), dtype=bool)
        for name, (lower, upper) in ranges.items():
            found &= (self.label(name) >= lower) & (self.label(name) <= upper)
        return found

    def some_runs(self, share: float) -> NDArray[np.bool_]:
        """All rows of a share of the runs, drawn."""
        names = np.unique(self.rows.run_id)
        chosen = self.random.choice(names, max(1, round(share * len(names))), replace=False)
        return np.isin(self.rows.run_id, chosen)

    def some_rows(self, share: float) -> NDArray[np.bool_]:
        """A share of the rows, drawn."""
        return self.random.random(len(self.rows.flux)) < share

    def by_run(self) -> NDArray[np.float64]:
        """A random number between 0 and 1 for each run, (rows,)."""
        _, run = np.unique(self.rows.run_id, return_inverse=True)
        return self.random.random(int(run.max()) + 1)[run.ravel()]

    def relabelled(self, name: str, values: Numbers) -> Rows:
        """Other values of a label, kept inside its bounds, with the weights that belong to them."""
        label = self.contract.labels[self.column(name)]
        labels = self.rows.labels.copy()
        labels[:, self.column(name)] = np.clip(values, label.lower, label.upper)
        return replace(self.rows, labels=labels, weight=sampling.weights(self.contract, labels))

    def with_flux(self, flux: NDArray[np.floating]) -> Rows:
        """Other flux, single precision, inside the contract's range."""
        bounds = self.contract.flux
        lower, upper = bounds.lower + 1e-4, bounds.upper - 1e-4
        return replace(self.rows, flux=np.clip(flux, lower, upper).astype(np.float32))

    def moved(self, velocity: Numbers | float) -> NDArray[np.floating]:
        """Flux shifted by velocities in km/s, (rows,) or one for all, by cubic interpolation in pixels."""
        factor = 1.0 + np.broadcast_to(velocity, len(self.rows.flux)) / 299792.458
        return self.resampled(self.wavelength / factor[:, np.newaxis])

    def resampled(self, places: Numbers) -> NDArray[np.floating]:
        """Flux at other wavelengths (rows, pixels) or (pixels,), by cubic interpolation, held constant at the ends."""
        flux, axis = self.rows.flux, self.contract.wavelength
        position = np.clip((places - axis.start) / axis.width, 1.0, axis.count - 2.0 - 1e-9)
        whole = np.broadcast_to(position.astype(int), flux.shape)
        part = (np.broadcast_to(position, flux.shape) - whole).astype(np.float32)
        before, at, after, beyond = (np.take_along_axis(flux, whole + step, axis=1) for step in (-1, 0, 1, 2))
        slope, rest = (after - before) / 2, (beyond - at) / 2
        return np.asarray(
            at
            + part * (slope + part * (3 * (after - at) - 2 * slope - rest + part * (slope + rest - 2 * (after - at))))
        )

    def broadened(
        self,
        labels: Numbers | None = None,
        darkening: float | None = None,
        rotations: int = 1,
        rows: NDArray[np.bool_] | None = None,
    ) -> Rows:
        """The runs broadened as other labels say, or with another limb darkening, or rotated so many times.

        Labels stay as they are; ``rows``: those that it happens to, all by default.
        """
        convolve, chosen = self._convolve, np.ones(len(self.rows.flux), dtype=bool) if rows is None else rows
        given = (self.rows.labels if labels is None else labels)[chosen]
        place = np.searchsorted(self.runs.run_id, self.rows.run_id[chosen])
        own = limb_darkening(self.contract, self.runs)[place]
        dark = own if darkening is None else np.full(len(place), darkening)
        flux = self.rows.flux.copy()
        vsini = given[:, self.column("vsini")]
        pieces = []
        for first in range(0, len(place), ROWS_PER_GROUP):
            part = slice(first, first + ROWS_PER_GROUP)
            modes = convolve.modes(self.runs.flux[place[part]])
            transfer = convolve.transfer(vsini[part], resolutions(self.contract, given[part]), dark[part])
            for _ in range(rotations - 1):
                sharpest = np.full(len(transfer), convolve.sharpest)
                transfer = transfer * convolve.transfer(vsini[part], sharpest, dark[part])
            pieces.append(convolve.synthesis(modes * np.concatenate([transfer, transfer], axis=-1)))
        flux[chosen] = np.concatenate(pieces)
        return replace(self.rows, flux=flux)

    @property
    def _convolve(self) -> Broadening:
        return contract_broadening(self.contract)

    def computed_at(self, name: str, values: Numbers, rows: NDArray[np.bool_]) -> Rows:
        """The spectra of some rows as if computed at other values of a label, which stays as it is.

        What the emulator says of the difference is added to the real spectrum.
        """
        old = self.rows.labels[rows]
        new = old.copy()
        new[:, self.column(name)] = values[rows]
        flux = self.rows.flux.copy()
        flux[rows] += self.emulator.network(new) - self.emulator.network(old)
        return self.with_flux(flux)

    def straightened(self, place: float, half_width: float, rows: NDArray[np.bool_] | None = None) -> Rows:
        """A straight line drawn through a window of some rows, all by default."""
        window = self.contract.wavelength.window(place, half_width)
        flux = self.rows.flux.copy()
        share = np.linspace(0.0, 1.0, window.stop - window.start, dtype=np.float32)
        drawn = flux[:, [window.start]] * (1 - share) + flux[:, [window.stop - 1]] * share
        flux[:, window] = drawn if rows is None else np.where(rows[:, np.newaxis], drawn, flux[:, window])
        return self.with_flux(flux)

    def near(self, places: list[float], half_width: float) -> NDArray[np.bool_]:
        """Pixels near any of some places."""
        return np.asarray((np.abs(self.wavelength - np.array(places)[:, np.newaxis]) <= half_width).any(axis=0))
