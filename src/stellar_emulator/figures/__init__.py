"""The project's figures: each function takes arrays and returns a `matplotlib.figure.Figure`, without files or pyplot.

Texts, units and bounds of axes come from the data contract; numbers of the paper are passed in by the caller.
"""

from stellar_emulator.figures.accuracies import accuracy_comparison, inferred_labels
from stellar_emulator.figures.coverage import coverage, flux_range
from stellar_emulator.figures.flux_residuals import flux_error_by_region, residual_map
from stellar_emulator.figures.generated import generated_spectra
from stellar_emulator.figures.label_sampling import sampling_density
from stellar_emulator.figures.pareto import pareto
from stellar_emulator.figures.spectra import example_spectra, hero, reconstruction
from stellar_emulator.figures.training_progress import training_curves

__all__ = [
    "accuracy_comparison",
    "coverage",
    "example_spectra",
    "flux_error_by_region",
    "flux_range",
    "generated_spectra",
    "hero",
    "inferred_labels",
    "pareto",
    "reconstruction",
    "residual_map",
    "sampling_density",
    "training_curves",
]
