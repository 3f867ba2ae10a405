"""Kinds of corruption, each done to a good grid of 5,000 real spectra held in memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.mistakes.material import in_memory as grid_in_memory
from numpy.typing import NDArray
from synthetic import GAIA

from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import embedded_folder
from stellar_emulator.grid.store import Grid, Rows

RUNS = 625
REALISATIONS = 8
NAMES = GAIA.label_names
PIXELS = GAIA.wavelength.pixels


def in_memory(rows: Rows, **provenance: str) -> Grid:
    """Rows as a grid of the Gaia RVS contract."""
    return grid_in_memory(GAIA, rows, "corrupted", {"made_by": "a test", **provenance})


def good_rows() -> Rows:
    """Real spectra of the embedded grid's first runs, broadened as the grid's own are not."""
    runs = read_intrinsic_grid(embedded_folder(GAIA), GAIA)
    few = runs.take(np.arange(RUNS))
    pieces = list(expanded(GAIA, few, 7, REALISATIONS))
    return Rows(
        *(
            np.concatenate([getattr(piece, name) for piece in pieces])
            for name in Rows.__dataclass_fields__
            if name != "flux_error"
        )
    )


def copy_of(rows: Rows) -> Rows:
    return Rows(rows.run_id.copy(), rows.labels.copy(), rows.weight.copy(), rows.flux.copy())


def column(name: str) -> int:
    return NAMES.index(name)


def pick(rows: Rows, number: int, **inside: tuple[float, float]) -> int:
    """Some row whose labels lie inside given ranges; other numbers give other runs."""
    chosen = np.ones(len(rows.labels), dtype=bool)
    for name, (lower, upper) in inside.items():
        chosen &= (rows.labels[:, column(name)] >= lower) & (rows.labels[:, column(name)] <= upper)
    runs = np.unique(rows.run_id[chosen])
    return int(np.flatnonzero(chosen & (rows.run_id == runs[number * 7 % len(runs)]))[0])


@dataclass(frozen=True)
class Single:
    """A corruption of one spectrum. ``do`` corrupts rows in place and returns the row that must be named."""

    kind: str
    expectation: str
    says: str
    do: Callable[[Rows, int], int]


SLOW = {"teff": (4200.0, 5500.0), "vsini": (0.0, 12.0)}
COOL = {"teff": (3600.0, 4300.0), "m_h": (0.0, 1.5)}
SOLAR = {"teff": (5500.0, 6500.0), "m_h": (-0.5, 0.5)}
METALLIC = {"teff": (3800.0, 5500.0), "m_h": (1.0, 1.5)}
HOT = {"teff": (11000.0, 15000.0)}


def at_pixel(value: float) -> Callable[[Rows, int], int]:
    def corrupt(rows: Rows, number: int) -> int:
        row = pick(rows, number)
        rows.flux[row, 300 + 7 * number] = value
        return row

    return corrupt


def on_flux(change: Callable[[NDArray[np.float32]], NDArray[np.floating]], **inside: tuple[float, float]):
    def corrupt(rows: Rows, number: int) -> int:
        row = pick(rows, number, **inside)
        rows.flux[row] = change(rows.flux[row])
        return row

    return corrupt


def on_label(name: str, value: float, **inside: tuple[float, float]) -> Callable[[Rows, int], int]:
    def corrupt(rows: Rows, number: int) -> int:
        row = pick(rows, number, **inside)
        rows.labels[row, column(name)] = value
        return row

    return corrupt


def added(flux: NDArray[np.float32], where: slice, height: float) -> NDArray[np.floating]:
    changed = flux.copy()
    changed[where] += height
    return changed


def filled(flux: NDArray[np.float32], where: slice) -> NDArray[np.floating]:
    changed = flux.copy()
    changed[where] = changed[where.start]
    return changed


def same_flux(rows: Rows, number: int) -> int:
    row = pick(rows, number)
    rows.flux[row] = rows.flux[row - REALISATIONS]
    return row


def same_labels(rows: Rows, number: int) -> int:
    row = pick(rows, number)
    rows.labels[row] = rows.labels[row + 1]
    return row


def other_run_id(rows: Rows, number: int) -> int:
    row = pick(rows, number)
    rows.run_id[row] = rows.run_id[row - REALISATIONS]
    return row


def across_the_split(rows: Rows, number: int) -> int:
    """Change a row's Teff by what nobody sees, until it falls into another part of the split than its run."""
    row = pick(rows, number)
    own = GAIA.columns(GAIA.run_labels)

    def share() -> bool:
        return int(sampling.run_hash(rows.labels[[row]][:, own])[0][:12], 16) / 16**12 < GAIA.split.train

    before = share()
    while share() == before:
        rows.labels[row, column("teff")] += 0.01
    return row


def two_run_ids(rows: Rows, number: int) -> int:
    row = pick(rows, number)
    half = np.flatnonzero(rows.run_id == rows.run_id[row])[: REALISATIONS // 2]
    rows.run_id[half] = rows.run_id.max() + 1
    return row


def rounded_twin(rows: Rows, number: int) -> int:
    row = two_run_ids(rows, number)
    rows.labels[rows.run_id == rows.run_id[row], column("logg")] += 1e-5
    return row


def whole_run(name: str, value: float, **inside: tuple[float, float]) -> Callable[[Rows, int], int]:
    def corrupt(rows: Rows, number: int) -> int:
        row = pick(rows, number, **inside)
        rows.labels[rows.run_id == rows.run_id[row], column(name)] = value
        return row

    return corrupt


def exchanged(rows: Rows, number: int) -> int:
    solar, hot = pick(rows, number, **SOLAR), pick(rows, number, **HOT)
    rows.flux[[solar, hot]] = rows.flux[[hot, solar]]
    return hot


FINITE, RANGE, CLIPPED = "ExpectFluxToBeFinite", "ExpectFluxToBeInRange", "ExpectNoClippedPixels"
SPIKES, PLACES, FOLLOWS = "ExpectNoSpikes", "ExpectLinesAtTheirPlaces", "ExpectSpectraToFollowTheirLabels"
CONTINUUM, AGREES = "ExpectContinuumNearOne", "ExpectRunToAgreeInItsLabels"
BETWEEN, PRESENT = "ExpectColumnValuesToBeBetween", "ExpectColumnValuesToNotBeNull"
DIFFER = "ExpectRunsToDiffer"

SINGLE = [
    Single("a NaN pixel", FINITE, "holds NaN or infinite pixels", at_pixel(np.nan)),
    Single("an infinite pixel", FINITE, "holds NaN or infinite pixels", at_pixel(np.inf)),
    Single("all NaN", FINITE, "holds NaN or infinite pixels", on_flux(lambda flux: flux * np.nan)),
    Single("a negative pixel", RANGE, "falls below 0", at_pixel(-0.01)),
    Single("a pixel far above the continuum", RANGE, "exceeds 1.05", at_pixel(1.2)),
    Single("a flat spectrum", "ExpectSpectrumToHaveContrast", "is flat", on_flux(lambda flux: 0.97 + 1e-3 * flux)),
    Single("not normalised", CONTINUUM, "not normalised to its continuum", on_flux(lambda flux: 0.6 * flux)),
    Single(
        "normalised twice",
        CONTINUUM,
        "not normalised to its continuum",
        on_flux(lambda flux: flux / np.quantile(flux, 0.95), **COOL),
    ),
    Single("a dead pixel", CLIPPED, "has dead or saturated pixels", at_pixel(0.0)),
    Single("a saturated pixel", CLIPPED, "has dead or saturated pixels", at_pixel(GAIA.flux.upper)),
    Single(
        "a dead stretch",
        "ExpectNoRepeatedPixels",
        "neighbours share one value",
        on_flux(lambda flux: filled(flux, slice(1000, 1020))),
    ),
    Single("a spike upward", SPIKES, "has a spike", on_flux(lambda flux: added(flux, slice(2000, 2001), 0.01))),
    Single("a spike downward", SPIKES, "has a spike", on_flux(lambda flux: added(flux, slice(50, 51), -0.01))),
    Single("a bad splice", SPIKES, "has a spike", on_flux(lambda flux: added(flux, slice(2500, 4000), -0.02))),
    Single("a spectrum twice", "ExpectSpectraToBeUnique", "is the same as another's", same_flux),
    Single("a label vector twice", "ExpectLabelsToBeUnique", "are the same as another's", same_labels),
    Single("one pixel to the red", PLACES, "in the wrong place", on_flux(lambda flux: np.roll(flux, 1), **SLOW)),
    Single("one pixel to the blue", PLACES, "in the wrong place", on_flux(lambda flux: np.roll(flux, -1), **SLOW)),
    Single("vacuum wavelengths", PLACES, "in the wrong place", on_flux(lambda flux: np.roll(flux, 23), **SLOW)),
    Single("back to front", PLACES, "in the wrong place", on_flux(lambda flux: flux[::-1], **SLOW)),
    Single("Teff above its bounds", BETWEEN, "teff of 1 spectrum lies outside", on_label("teff", 15000.5)),
    Single("[M/H] below its bounds", BETWEEN, "m_h of 1 spectrum lies outside", on_label("m_h", -1.6)),
    Single("a label missing", PRESENT, "logg of 1 spectrum is missing", on_label("logg", np.nan)),
    Single("vsini of another", FOLLOWS, "does not follow its labels", on_label("vsini", 280.0, **SLOW)),
    Single("Teff of another, whole run", FOLLOWS, "does not follow its labels", whole_run("teff", 14900.0, **COOL)),
    Single(
        "[M/H] of another, whole run",
        FOLLOWS,
        "does not follow",
        whole_run("m_h", -1.45, teff=(3800, 5500), m_h=(1.0, 1.5)),
    ),
    Single("two spectra exchanged", FOLLOWS, "does not follow its labels", exchanged),
    Single("Teff of one row of a run", AGREES, "has not the teff, logg, m_h, vmicro", on_label("teff", 9000.0, **HOT)),
    Single("a row under another run's number", AGREES, "has not the teff, logg", other_run_id),
    Single("a run on two sides of the split", "ExpectRunInOnePart", "two sides of the split", across_the_split),
    Single("a run under two numbers", DIFFER, "goes by a second number", two_run_ids),
    Single("a run under two numbers, rounded", DIFFER, "goes by a second number", rounded_twin),
]


def with_labels(rows: Rows, labels: NDArray[np.float64]) -> Rows:
    return replace(rows, labels=labels)


def with_flux(rows: Rows, flux: NDArray[np.floating]) -> Rows:
    return replace(rows, flux=flux.astype(np.float32))


def swapped(rows: Rows, first: str, second: str) -> Rows:
    """Two label columns swapped, each brought into the other's bounds so that bounds alone can't tell."""
    labels, one, other = rows.labels.copy(), column(first), column(second)
    lower, span = GAIA.lower, GAIA.upper - GAIA.lower
    share = (rows.labels - lower) / span
    labels[:, one] = lower[one] + span[one] * share[:, other]
    labels[:, other] = lower[other] + span[other] * share[:, one]
    return with_labels(rows, labels)
