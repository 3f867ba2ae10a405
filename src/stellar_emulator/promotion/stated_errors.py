"""Whether the errors that a pair states of itself are those that it has on the gate set.

``measured.npz`` is a file like any other: what `infer` and `fit` tell users of their errors is measured anew before a
pair is promoted. The test set that training measured on is another sample of the same box, so that figures agree to a
factor and no better: for the shipped pairs 0.97 to 1.02 over the box, 0.65 to 1.9 in a region's worst window of pixels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import StatedLimits
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.measured import emulator_measures, in_regions, validator_measures
from stellar_emulator.gate.decide import limits_of
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.grid.store import Rows
from stellar_emulator.promotion.candidates import RegisteredPair
from stellar_emulator.promotion.gate_set import GateSpectra

ROWS_MEASURED = 4096
"""Spectra of the gate set, evenly spread over it, that errors are measured on."""

REGION_RUNS = 50
"""Runs of the gate set that a region needs to tell anything."""

_WINDOWS = 20
"""Of pixels, each looked at by itself: an error that is understated in one line would vanish in the whole axis."""

_SMALLEST = 1e-12
"""What an error is at least taken for, lest a perfect model divide by zero."""

Arrays = Mapping[str, NDArray[Any]]


def stated_criteria(contract: Contract, spectra: Rows | GateSpectra, pair: RegisteredPair) -> list[Criterion]:
    """Criteria of section "evidence": by what factor the errors that both models state differ from measured ones."""
    rows = slice(None, None, max(1, len(spectra.labels) // ROWS_MEASURED))
    labels, flux = spectra.labels[rows], spectra.flux[rows]
    runs = np.array([len(np.unique(spectra.run_id[rows][inside])) for inside in in_regions(contract, labels)])
    stated = _stated(pair.emulator.bundle)
    limits = limits_of(contract).stated
    criteria = []
    if stated is not None:
        found: Arrays = emulator_measures(contract, labels, flux, pair.emulator.network(labels))
        criteria += _criteria("emulator", stated, found, {"flux_rms": _windows}, runs, limits)
    judge = pair.judges[0]
    stated = _stated(judge.bundle)
    if stated is not None:
        mean = stated.get("mean", np.empty(0))
        if mean.shape != (contract.wavelength.count,) or not np.isfinite(mean).all():
            return [*criteria, _criterion("validator", None, limits.box, "mean is no spectrum")]
        projection = judge.bundle.weight("projection", 0, "kernel")
        found = validator_measures(contract, judge.network, mean, projection, labels, flux)
        # The largest thousandth of few spectra is one of them.
        common = {name: values[:-1] if name == "reconstruction_error" else values for name, values in found.items()}
        told = {name: values[:-1] if name == "reconstruction_error" else values for name, values in stated.items()}
        criteria += _criteria(
            "validator", told, common, {"label_rms": _levels, "reconstruction_error": _alone}, runs, limits
        )
        for name in ("noise", "quantiles"):
            if not np.array_equal(stated.get(name, np.empty(0)), np.float32(found[name])):
                criteria.append(_criterion("validator", None, limits.box, f"its {name} are not those of this version"))
    return criteria


def _stated(bundle: Any) -> Arrays | None:
    """What a model states of its errors; None if nothing, as with those that training did not measure."""
    try:
        return dict(bundle.measured)
    except InputError:
        return None


def _windows(table: NDArray[Any], regions: int) -> NDArray[np.float64]:
    """Of errors (bins, ..., pixels) the root mean square in windows of pixels, (regions, windows)."""
    parts = np.array_split(np.asarray(table, dtype=np.float64).reshape(regions, -1), _WINDOWS, axis=1)
    return np.stack([np.sqrt(np.mean(part**2, axis=1)) for part in parts if part.shape[1]], axis=1)


def _levels(table: NDArray[Any], regions: int) -> NDArray[np.float64]:
    """Errors (levels, bins, ..., labels) as (regions, levels and labels)."""
    values = np.asarray(table, dtype=np.float64)
    return np.moveaxis(values.reshape(len(values), regions, -1), 1, 0).reshape(regions, -1)


def _alone(values: NDArray[Any], regions: int) -> NDArray[np.float64]:
    """Values of the whole box, the same in each region."""
    return np.tile(np.asarray(values, dtype=np.float64), (regions, 1))


def _criteria(
    kind: str, stated: Arrays, found: Arrays, tables: Mapping[str, Any], runs: NDArray[np.int64], limits: StatedLimits
) -> list[Criterion]:
    """The factor over the box and in the worst region, of one model."""
    box, region, note = 1.0, 1.0, ""
    for name, by_region in tables.items():
        told, measured = stated.get(name, np.empty(0)), found[name]
        if told.shape != measured.shape or not np.isfinite(told).all() or (told < 0).any():
            return [
                _criterion(kind, None, limits.box, f"its {name} are no errors of this contract's regions and labels")
            ]
        ours, theirs = by_region(measured, len(runs)), by_region(told, len(runs))
        if (factor := _factor(*(np.sqrt(runs @ table**2 / runs.sum()) for table in (theirs, ours)))) > box:
            box, note = factor, name
        for row in np.flatnonzero(runs >= REGION_RUNS):
            region = max(region, _factor(theirs[row], ours[row]))
    return [
        _criterion(kind, box, limits.box, note),
        _criterion(f"{kind}, worst region", region, limits.region, ""),
    ]


def _factor(stated: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    ratio = np.maximum(stated, _SMALLEST) / np.maximum(found, _SMALLEST)
    return float(np.exp(np.abs(np.log(ratio)).max()))


def _criterion(what: str, figure: float | None, bound: float, note: str) -> Criterion:
    passed = figure is not None and figure < bound
    return Criterion("evidence", f"stated errors against measured: {what}", figure, bound, passed, True, note, "<")
