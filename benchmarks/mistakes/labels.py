"""Labels that don't vary, weights that don't fit them, and parts of the box that were left out."""

from dataclasses import replace

import numpy as np

from benchmarks.mistakes.material import Material, mistake
from stellar_emulator.grid import sampling
from stellar_emulator.grid.store import Rows

VALUES, WEIGHTS, HOLES = "labels constant or with few values", "weights", "holes in pairs of labels"


def _rounded(material: Material, name: str, step: float) -> Rows:
    return material.relabelled(name, np.round(material.label(name) / step) * step)


@mistake(VALUES)
def vmicro_constant(material: Material) -> Rows:
    """The column of microturbulence holds the 2 km/s of the atmospheres, whatever was computed."""
    return material.relabelled("vmicro", np.full(len(material.rows.flux), 2.0))


@mistake(VALUES)
def resolution_constant(material: Material) -> Rows:
    """The column of the resolution holds the spectrograph's nominal one."""
    return material.relabelled("resolution", np.full(len(material.rows.flux), 11500.0))


@mistake(VALUES)
def teff_in_steps_of_250_k(material: Material) -> Rows:
    """Teff is that of the nearest atmosphere of a grid in steps of 250 K."""
    return _rounded(material, "teff", 250.0)


@mistake(VALUES)
def logg_in_steps_of_half_a_dex(material: Material) -> Rows:
    """Surface gravity is that of the nearest atmosphere of a grid in steps of 0.5 dex."""
    return _rounded(material, "logg", 0.5)


@mistake(VALUES)
def m_h_with_one_decimal(material: Material) -> Rows:
    """[M/H] was written with one decimal."""
    return _rounded(material, "m_h", 0.1)


@mistake(VALUES)
def vsini_in_steps_of_5_km_s(material: Material) -> Rows:
    """Rotation was written in steps of 5 km/s."""
    return _rounded(material, "vsini", 5.0)


@mistake(VALUES)
def vmicro_by_default_in_a_third(material: Material) -> Rows:
    """Where microturbulence was not known, in 30 % of the runs, a default of 2 km/s was filled in."""
    return material.relabelled("vmicro", np.where(material.some_runs(0.3), 2.0, material.label("vmicro")))


@mistake(VALUES)
def m_h_by_default_in_a_tenth(material: Material) -> Rows:
    """Where [M/H] was not known, in a tenth of the runs, the Sun's was filled in."""
    return material.relabelled("m_h", np.where(material.some_runs(0.1), 0.0, material.label("m_h")))


def _weighted(material: Material, weight: np.ndarray) -> Rows:
    return replace(material.rows, weight=weight)


@mistake(WEIGHTS)
def weights_infinite(material: Material) -> Rows:
    """A division by zero left some weights infinite."""
    return _weighted(material, np.where(material.some_rows(0.002), np.inf, material.rows.weight))


@mistake(WEIGHTS)
def weights_of_a_million(material: Material) -> Rows:
    """A few weights are a million."""
    return _weighted(material, np.where(material.some_rows(0.002), 1e6, material.rows.weight))


@mistake(WEIGHTS)
def weights_of_one(material: Material) -> Rows:
    """All weights are one, though the labels were not drawn uniformly."""
    return _weighted(material, np.ones(len(material.rows.weight)))


@mistake(WEIGHTS)
def weights_inverted(material: Material) -> Rows:
    """The density was written in place of its inverse."""
    inverse = 1.0 / material.rows.weight
    return _weighted(material, inverse / inverse.mean())


@mistake(WEIGHTS)
def weights_squared(material: Material) -> Rows:
    """Weights were applied twice."""
    squares = material.rows.weight**2
    return _weighted(material, squares / squares.mean())


@mistake(WEIGHTS)
def weights_without_vsini(material: Material) -> Rows:
    """Weights know of the density in Teff and not of that in v sin i."""
    labels = material.rows.labels.copy()
    labels[:, material.column("vsini")] = 60.0
    weight = sampling.weights(material.contract, labels)
    return _weighted(material, weight / weight.mean())


@mistake(WEIGHTS)
def weights_in_another_order(material: Material) -> Rows:
    """Weights were sorted, and the spectra were not."""
    return _weighted(material, np.sort(material.rows.weight))


@mistake(WEIGHTS)
def weights_that_sum_to_one(material: Material) -> Rows:
    """Weights were normalised to a sum of one."""
    return _weighted(material, material.rows.weight / material.rows.weight.sum())


@mistake(WEIGHTS)
def weights_from_a_noisy_histogram(material: Material) -> Rows:
    """Weights come from a histogram of the labels with few counts in each bin."""
    noise = np.exp(0.7 * material.random.normal(size=len(material.rows.weight)))
    return _weighted(material, material.rows.weight * noise / noise.mean())


@mistake(WEIGHTS)
def weights_ten_times_in_some(material: Material) -> Rows:
    """One weight in a hundred lost its decimal point."""
    return _weighted(material, np.where(material.some_rows(0.01), 10.0, 1.0) * material.rows.weight)


def _without(material: Material, rows: np.ndarray) -> Rows:
    kept = ~rows
    given = material.rows
    return Rows(given.run_id[kept], given.labels[kept], given.weight[kept], given.flux[kept])


@mistake(HOLES)
def no_cool_metal_poor_stars(material: Material) -> Rows:
    """Cool metal-poor stars did not converge, and were left out."""
    return _without(material, material.inside(teff=(3600.0, 4800.0), m_h=(-1.5, -0.8)))


@mistake(HOLES)
def no_hot_giants(material: Material) -> Rows:
    """Hot giants lie beyond the Eddington limit of the atmospheres, and were left out."""
    return _without(material, material.inside(teff=(9000.0, 15000.0), logg=(2.0, 3.0)))


@mistake(HOLES)
def no_fast_rotators_among_cool_stars(material: Material) -> Rows:
    """Only hot stars were rotated fast."""
    return _without(material, material.inside(teff=(3600.0, 5500.0), vsini=(100.0, 300.0)))


@mistake(HOLES)
def no_large_vmicro_in_dwarfs(material: Material) -> Rows:
    """Dwarfs were not computed with a large microturbulence."""
    return _without(material, material.inside(logg=(4.2, 5.0), vmicro=(3.0, 4.0)))


@mistake(HOLES)
def no_solar_twins(material: Material) -> Rows:
    """Solar twins were kept for a test of one's own."""
    return _without(material, material.inside(teff=(5300.0, 6500.0), logg=(4.0, 4.8)))


@mistake(HOLES)
def no_fast_rotators_at_low_resolution(material: Material) -> Rows:
    """Fast rotators were not convolved to low resolutions."""
    return _without(material, material.inside(vsini=(150.0, 300.0), resolution=(5000.0, 7000.0)))
