"""Errors of approximated flux: of the autoencoder, of the chain and of a principal-component basis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.regions import BOX, HARD, line_core_pixels, line_windows, region_rows

FEWEST_FOR_R2 = 10
"""Spectra below which their variance, and so the share of it that is explained, means nothing."""


@dataclass(frozen=True)
class FluxErrorRow:
    """Errors of an approximation against computed flux, over some spectra of one region.

    mse, mae: over all pixels; median_mae, p90_mae: over spectra, of each spectrum's mean absolute error; core_mae:
    inside the line cores; r2, explained_variance: variance-weighted over pixels (each pixel counts by its variance
    over these spectra); *_uniform: plain means over pixels; equivalent_width_error: RMS in milli-Angstrom by line;
    worst_mae, worst_run: the worst spectrum.
    """

    what: str
    region: str
    n: int
    mse: float
    mae: float
    median_mae: float
    p90_mae: float
    core_mae: float
    r2: float
    explained_variance: float
    r2_uniform: float
    explained_variance_uniform: float
    equivalent_width_error: dict[str, float]
    p90_equivalent_width: dict[str, float]
    worst_mae: float
    worst_run: int


def flux_error_rows(
    contract: Contract,
    what: str,
    labels: NDArray[np.float64],
    weight: NDArray[np.float64],
    run_id: NDArray[np.int64],
    computed: NDArray[np.float32],
    approximated: NDArray[np.float32],
) -> list[FluxErrorRow]:
    """Errors of ``approximated`` against ``computed`` flux, both (n, pixels), in every region that has spectra."""
    rows = []
    for region, inside in region_rows(contract, labels).items():
        if inside.any():
            shares = weight[inside] if region == BOX else np.ones(int(inside.sum()))
            rows.append(_row(contract, what, region, shares, run_id[inside], computed[inside], approximated[inside]))
    return rows


def _row(
    contract: Contract,
    what: str,
    region: str,
    weight: NDArray[np.float64],
    run_id: NDArray[np.int64],
    computed: NDArray[np.float32],
    approximated: NDArray[np.float32],
) -> FluxErrorRow:
    share = np.asarray(weight / weight.sum(), dtype=np.float32)
    error = approximated - computed
    absolute = np.abs(error)
    by_spectrum = absolute.mean(axis=1)
    square_by_pixel = share @ error**2
    spread_by_pixel = square_by_pixel - (share @ error) ** 2
    variance_by_pixel = np.maximum(share @ computed**2 - (share @ computed) ** 2, 1e-12)
    core = line_core_pixels(contract)
    worst = int(np.argmax(by_spectrum))
    return FluxErrorRow(
        what=what,
        region=region,
        n=len(error),
        mse=float(square_by_pixel.mean()),
        mae=float(share @ by_spectrum),
        median_mae=weighted_quantile(by_spectrum, share, 0.5),
        p90_mae=weighted_quantile(by_spectrum, share, 0.9),
        core_mae=float(share @ absolute[:, core].mean(axis=1)) if core.any() else float("nan"),
        r2=float(1.0 - square_by_pixel.sum() / variance_by_pixel.sum()),
        explained_variance=float(1.0 - spread_by_pixel.sum() / variance_by_pixel.sum()),
        r2_uniform=float(np.mean(1.0 - square_by_pixel / variance_by_pixel)),
        explained_variance_uniform=float(np.mean(1.0 - spread_by_pixel / variance_by_pixel)),
        equivalent_width_error=_equivalent_width_errors(contract, error, share),
        p90_equivalent_width=_equivalent_width_shares(contract, computed, error, share),
        worst_mae=float(by_spectrum[worst]),
        worst_run=int(run_id[worst]),
    )


def _equivalent_width_errors(
    contract: Contract, error: NDArray[np.float32], weight: NDArray[np.float32]
) -> dict[str, float]:
    """RMS error of each line's equivalent width in milli-Angstrom."""
    axis = contract.wavelength
    return {
        line: float(np.sqrt(weight @ axis.integral(error[:, window], window, per_unit=1000.0) ** 2))
        for line, window in line_windows(contract).items()
    }


def _equivalent_width_shares(
    contract: Contract, computed: NDArray[np.float32], error: NDArray[np.float32], weight: NDArray[np.float32]
) -> dict[str, float]:
    """Relative error of each line's equivalent width below which 90 % of the spectra lie."""
    axis, found = contract.wavelength, {}
    per_pixel = 1.0 / axis.width
    for line, window in line_windows(contract).items():
        width = np.maximum(axis.integral(1.0 - computed[:, window], window, per_pixel), 1e-6)
        found[line] = weighted_quantile(np.abs(axis.integral(error[:, window], window, per_pixel)) / width, weight, 0.9)
    return found


def weighted_quantile(values: NDArray[np.floating], weight: NDArray[np.floating], share: float) -> float:
    """Value below which ``share`` of the ``weight`` lies; both arrays have shape (n,)."""
    order = np.argsort(values)
    reached = np.cumsum(weight[order])
    return float(values[order][min(int(np.searchsorted(reached, share * reached[-1])), len(values) - 1)])


def find(rows: list[FluxErrorRow], what: str, region: str = BOX) -> FluxErrorRow:
    """The row of one approximation and region. Raises `KeyError` if there is none."""
    for row in rows:
        if (row.what, row.region) == (what, region):
            return row
    raise KeyError((what, region))


def flux_error_table(rows: list[FluxErrorRow]) -> str:
    """The table for readers: flux errors over the uniform box and in the hard region."""
    head = (
        f"{'flux error':<16}{'region':<14}{'MAE':>10}{'90 % below':>12}{'MSE':>10}{'line cores':>12}{'R2':>10}{'n':>8}"
    )
    return "\n".join([head, *(_table_line(row) for row in rows if row.region in (BOX, HARD))])


def _table_line(row: FluxErrorRow) -> str:
    cores = "-" if np.isnan(row.core_mae) else f"{row.core_mae:.2e}"
    numbers = f"{row.mae:>10.2e}{row.p90_mae:>12.2e}{row.mse:>10.2e}{cores:>12}"
    explained = f"{row.r2:>10.6f}" if row.n >= FEWEST_FOR_R2 else f"{'-':>10}"
    return f"{row.what:<16}{row.region:<14}{numbers}{explained}{row.n:>8}"


def dead_units(latent: NDArray[np.float32]) -> int:
    """Latent units (n, units) that are constant over all spectra, as dead ReLU units are."""
    return int((latent.max(axis=0) - latent.min(axis=0) < 1e-8).sum())
