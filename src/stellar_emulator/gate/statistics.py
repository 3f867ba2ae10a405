"""Figures of each accuracy label over the uniform box, with bootstrap bounds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract import Contract
from stellar_emulator.gate.bootstrap import resample_counts, run_sums
from stellar_emulator.gate.measure import Measured
from stellar_emulator.gate_limits import GateLimits


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
    by_run = run_sums(measured.run, share[:, None] * _pooled(measured))
    counts = resample_counts(measured.runs, limits.resamples, seed)
    whole, drawn = _ratio_and_bias(by_run.sum(axis=0)), _ratio_and_bias(counts @ by_run)
    tails = (1.0 - limits.confidence, limits.confidence)
    (ratio_lower, ratio_upper), (bias_lower, bias_upper) = (np.quantile(values, tails, axis=0) for values in drawn)
    truth = measured.labels[:, columns]
    variance = share @ (truth - share @ truth) ** 2
    mean_square, generated_square = np.split(by_run.sum(axis=0)[:-1], 3)[:2]
    flux_shift, determined_share = _flux_shift(contract, limits, measured, share)
    return LabelStatistics(
        skill=1.0 - mean_square / variance,
        rmse_test=np.sqrt(mean_square),
        rmse_generated=np.sqrt(generated_square),
        ratio=whole[0],
        ratio_lower=ratio_lower,
        ratio_upper=ratio_upper,
        bias=whole[1],
        bias_lower=bias_lower,
        bias_upper=bias_upper,
        judged_shift=np.sqrt(share @ ((measured.generated - measured.test) ** 2).mean(axis=0)),
        flux_shift=flux_shift,
        determined_share=determined_share,
    )


def _pooled(measured: Measured) -> NDArray[np.float64]:
    """Columns whose weighted sums make all ratios and biases, shape (n, 1 + 3 labels), pooled over the judges.

    Squared errors from computed and from generated spectra, how much further up the latter lie, and 1 for the weight.
    """
    test, generated = measured.test, measured.generated
    columns = [(test**2).mean(axis=0), (generated**2).mean(axis=0), (generated - test).mean(axis=0)]
    return np.hstack([*columns, np.ones((len(measured.run), 1))])


def _ratio_and_bias(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ratio of RMSE and difference of mean errors in units of RMSE, both (..., labels), from sums of `_pooled`."""
    test, generated, difference = np.split(sums[..., :-1], 3, axis=-1)
    return np.sqrt(generated / test), difference / np.sqrt(test * sums[..., -1:])


def _flux_shift(
    contract: Contract, limits: GateLimits, measured: Measured, share: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RMS shift over the spectra whose noise would leave a label better known than the box does, and their share."""
    columns = contract.columns(contract.accuracy_labels)
    spread_of_box = ((contract.upper - contract.lower) / np.sqrt(12.0))[columns]
    # Written so that NaN, which a broken emulator leaves, counts as determined and then refuses.
    determined = ~(measured.error / limits.determined_signal_to_noise >= spread_of_box)
    weight = share[:, None] * determined
    found = weight.sum(axis=0)
    square = np.where(determined, share[:, None] * measured.shift**2, 0.0).sum(axis=0)
    return np.sqrt(np.divide(square, found, out=np.full(len(columns), np.nan), where=found > 0)), found
