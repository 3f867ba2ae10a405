"""Figures of each accuracy label over the uniform box, with bootstrap bounds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.gate.bootstrap import resample_counts, run_sums
from stellar_emulator.gate.measured_spectra import Measured


@dataclass(frozen=True)
class LabelStatistics:
    """One value for each accuracy label, shape (labels,); errors are pooled over the judges, in the label's unit.

    skill: 1 - MSE / variance of the judges on computed spectra. ratio: RMSE from generated over RMSE from computed
    spectra; bias: mean error from generated minus mean error from computed spectra, in units of the latter's RMSE; both
    with their one-sided bounds. judged_shift: RMS of inferred(generated) - inferred(computed). flux_shift: RMS of the
    shift that the flux difference amounts to, over the spectra that determine the label, whose share of the box is
    determined_share. All are weighted to the uniform box.
    """

    skill: NDArray[np.float64]
    rmse_test: NDArray[np.float64]
    rmse_generated: NDArray[np.float64]
    ratio: NDArray[np.float64]
    ratio_lower: NDArray[np.float64]
    ratio_upper: NDArray[np.float64]
    bias: NDArray[np.float64]
    bias_lower: NDArray[np.float64]
    bias_upper: NDArray[np.float64]
    judged_shift: NDArray[np.float64]
    flux_shift: NDArray[np.float64]
    determined_share: NDArray[np.float64]


def label_statistics(contract: Contract, limits: GateLimits, measured: Measured, seed: int) -> LabelStatistics:
    """Compute all figures; ``seed`` draws the bootstrap's resamples."""
    columns = contract.columns(contract.accuracy_labels)
    share = measured.weight / measured.weight.sum()
    test, generated, difference, weight = error_sums(measured)
    counts = resample_counts(measured.runs, limits.resamples, seed)
    ratio_lower, ratio_upper = ratio_bounds(limits, counts, test, generated)
    bias_lower, bias_upper = _bounds(limits, _bias(counts @ test, counts @ difference, counts @ weight))
    mean_square, generated_square = test.sum(axis=0), generated.sum(axis=0)
    truth = measured.labels[:, columns]
    variance = share @ (truth - share @ truth) ** 2
    flux_shift, determined_share = _flux_shift(contract, limits, measured, share)
    return LabelStatistics(
        skill=1.0 - mean_square / variance,
        rmse_test=np.sqrt(mean_square),
        rmse_generated=np.sqrt(generated_square),
        ratio=_ratio(mean_square, generated_square),
        ratio_lower=ratio_lower,
        ratio_upper=ratio_upper,
        bias=_bias(mean_square, difference.sum(axis=0), weight.sum(axis=0)),
        bias_lower=bias_lower,
        bias_upper=bias_upper,
        judged_shift=np.sqrt(share @ ((measured.generated - measured.test) ** 2).mean(axis=0)),
        flux_shift=flux_shift,
        determined_share=determined_share,
    )


def error_sums(
    measured: Measured,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What makes all ratios and biases, weighted to the box, pooled over the judges and summed over each run.

    Squared errors from computed and from generated spectra and how much further up the latter lie, each (runs, labels),
    and the weight, (runs, 1); the weights of all runs make 1.
    """
    share = (measured.weight / measured.weight.sum())[:, None]
    test, generated = measured.test, measured.generated
    return (
        run_sums(measured.run, share * (test**2).mean(axis=0)),
        run_sums(measured.run, share * (generated**2).mean(axis=0)),
        run_sums(measured.run, share * (generated - test).mean(axis=0)),
        run_sums(measured.run, share),
    )


def ratio_bounds(
    limits: GateLimits, counts: NDArray[np.float64], test: NDArray[np.float64], generated: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One-sided bounds of each label's ratio of RMSE, (2, labels), lower then upper.

    counts: by `resample_counts`, (resamples, runs); test, generated: squared errors from computed and from generated
    spectra, summed over each run, (runs, labels).
    """
    return _bounds(limits, _ratio(counts @ test, counts @ generated))


def _bounds(limits: GateLimits, resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """One-sided bounds, (2, labels), lower then upper, of what was resampled, (resamples, labels)."""
    return np.quantile(resampled, (1.0 - limits.confidence, limits.confidence), axis=0)


def _ratio(test: NDArray[np.float64], generated: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratio of RMSE from summed squared errors."""
    return np.sqrt(generated / test)


def _bias(
    test: NDArray[np.float64], difference: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Difference of mean errors in units of the RMSE from computed spectra, from sums of `error_sums`."""
    return difference / np.sqrt(test * weight)


def _flux_shift(
    contract: Contract, limits: GateLimits, measured: Measured, share: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RMS shift over the spectra that constrain a label better than the box does, and the share of these spectra."""
    columns = contract.columns(contract.accuracy_labels)
    spread_of_box = ((contract.upper - contract.lower) / np.sqrt(12.0))[columns]
    # Written so that NaN, which a broken emulator leaves, counts as determined and then refuses.
    determined = ~(measured.error / limits.determined_signal_to_noise >= spread_of_box)
    weight = share[:, None] * determined
    found = weight.sum(axis=0)
    square = np.where(determined, share[:, None] * measured.shift**2, 0.0).sum(axis=0)
    return np.sqrt(np.divide(square, found, out=np.full(len(columns), np.nan), where=found > 0)), found
