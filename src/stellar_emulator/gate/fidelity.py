"""Section "fidelity": ceilings on flux errors, so that a fault which no judge can see is seen."""

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import FluxCeilings, GateLimits
from stellar_emulator.contract.regions import hard_region, line_core_pixels
from stellar_emulator.evaluation.flux_error import weighted_quantile
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.measured_spectra import FluxErrors, Measured


def fidelity_criteria(contract: Contract, limits: GateLimits, measured: Measured) -> list[Criterion]:
    """Ask for flux errors below their ceilings."""
    figures = flux_figures(contract, measured, measured.flux)
    has_cores = bool(line_core_pixels(contract).any())
    return [
        Criterion(
            "fidelity",
            f"flux error {FluxCeilings.model_fields[name].description}",
            figure,
            bound := getattr(limits.flux_error, name),
            figure <= bound,
            informative=has_cores or name != "core_mae",
            rule="<=",
        )
        for name, figure in figures.items()
    ]


def flux_figures(contract: Contract, measured: Measured, errors: FluxErrors) -> dict[str, float]:
    """Flux errors by the name of their ceiling, defined as in `evaluation.flux_error.FluxErrorRow`."""
    share = measured.weight / measured.weight.sum()
    hard = errors.mae[hard_region(contract, measured.labels)]
    return {
        "mae": float(share @ errors.mae),
        "p90_mae": weighted_quantile(errors.mae, share, 0.9),
        "hard_mae": float(hard.mean()) if len(hard) else float("nan"),
        "core_mae": float(share @ errors.core),
    }
