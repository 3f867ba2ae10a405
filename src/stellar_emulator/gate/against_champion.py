"""Section "champion": nothing that already serves is replaced by something worse."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.gate.bootstrap import resample_counts, run_sums
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.measured_spectra import Measured

SECTION = "champion"


def champion_criteria(limits: GateLimits, measured: Measured, seed: int) -> list[Criterion]:
    """Refuse what is worse than the champion beyond chance: the lower bound of challenger / champion is above 1.

    A challenger that equals the champion passes. The judges' RMSE is compared by the geometric mean over labels.
    """
    if measured.champion_test is None or measured.champion_flux is None:
        return [
            Criterion(SECTION, "not worse than the champion", None, None, True, False, "void: there is no champion")
        ]
    counts = resample_counts(measured.runs, limits.resamples, seed)
    share = measured.weight / measured.weight.sum()

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return run_sums(measured.run, share[:, None] * values)

    flux = [sums(errors.mae[:, None]) for errors in (measured.flux, measured.champion_flux)]
    judge = [sums((errors**2).mean(axis=0)) for errors in (measured.test, measured.champion_test)]
    return [
        _not_worse("flux error / champion's", limits, counts, flux[0], flux[1], 1.0),
        _not_worse("judge's test RMSE / champion's", limits, counts, judge[0], judge[1], 0.5),
    ]


def _not_worse(
    name: str,
    limits: GateLimits,
    counts: NDArray[np.float64],
    challenger: NDArray[np.float64],
    champion: NDArray[np.float64],
    power: float,
) -> Criterion:
    """Compare sums over runs (runs, columns) by the geometric mean over columns of their ratio to a power."""

    def ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(power * (np.log(over) - np.log(under)).mean(axis=-1)))

    lower = float(np.quantile(ratio(counts @ challenger, counts @ champion), 1.0 - limits.confidence))
    point = float(ratio(challenger.sum(axis=0), champion.sum(axis=0)))
    level = f"{100 * limits.confidence:g} % lower bound"
    return Criterion(SECTION, f"{name}, {level}", lower, 1.0, lower <= 1.0, note=f"ratio {point:.4f}", rule="<=")
