"""Spectra that don't follow their labels: exchanged, biased, wrong in a part of the runs, or stopped at an edge."""

import numpy as np

from benchmarks.mistakes.material import Material, mistake
from stellar_emulator.grid.store import Rows

WRONG, BIASED, EDGES = "runs exchanged or wrong", "labels biased", "flux that stops at an edge"


@mistake(WRONG)
def one_run_in_a_hundred_exchanged(material: Material) -> Rows:
    """One run in a hundred was exchanged with another."""
    names = np.unique(material.rows.run_id[material.some_runs(0.01)])
    flux, run_id = material.rows.flux.copy(), material.rows.run_id
    for name, other in zip(names, np.roll(names, 1), strict=True):
        flux[run_id == name] = material.rows.flux[run_id == other]
    return material.with_flux(flux)


def _wrong(material: Material, name: str, share: float) -> Rows:
    """Values drawn anew over the label's range in a share of the runs."""
    label = material.contract.labels[material.column(name)]
    drawn = label.lower + (label.upper - label.lower) * material.by_run()
    return material.relabelled(name, np.where(material.some_runs(share), drawn, material.label(name)))


@mistake(WRONG)
def vmicro_wrong_in_a_third(material: Material) -> Rows:
    """Microturbulence is wrong in 30 % of the runs."""
    return _wrong(material, "vmicro", 0.3)


@mistake(WRONG)
def vmicro_wrong_in_a_tenth(material: Material) -> Rows:
    """Microturbulence is wrong in a tenth of the runs."""
    return _wrong(material, "vmicro", 0.1)


@mistake(WRONG)
def logg_wrong_in_one_of_fifty(material: Material) -> Rows:
    """Surface gravity is wrong in one run of fifty."""
    return _wrong(material, "logg", 0.02)


@mistake(WRONG)
def m_h_of_the_wrong_sign_in_some(material: Material) -> Rows:
    """[M/H] has the wrong sign in one run of fifty."""
    sign = np.where(material.some_runs(0.02), -1.0, 1.0)
    return material.relabelled("m_h", sign * material.label("m_h"))


@mistake(WRONG)
def equatorial_velocity_in_some(material: Material) -> Rows:
    """In a tenth of the spectra, v sin i is the equatorial velocity."""
    sine = np.where(material.some_rows(0.1), np.sqrt(1.0 - material.random.random(len(material.rows.flux)) ** 2), 1.0)
    return material.relabelled("vsini", material.label("vsini") / np.maximum(sine, 0.2))


@mistake(BIASED)
def teff_high_in_half(material: Material) -> Rows:
    """In half of the runs Teff is 100 K too high."""
    return material.relabelled("teff", material.label("teff") + 100.0 * material.some_runs(0.5))


@mistake(BIASED)
def logg_high_in_half(material: Material) -> Rows:
    """In half of the runs logg is 0.15 dex too high."""
    return material.relabelled("logg", material.label("logg") + 0.15 * material.some_runs(0.5))


@mistake(BIASED)
def m_h_high_in_half(material: Material) -> Rows:
    """In half of the runs [M/H] is on another solar scale, 0.1 dex higher."""
    return material.relabelled("m_h", material.label("m_h") + 0.1 * material.some_runs(0.5))


@mistake(BIASED)
def vmicro_low_in_half(material: Material) -> Rows:
    """In half of the runs microturbulence is 0.5 km/s too low."""
    return material.relabelled("vmicro", material.label("vmicro") - 0.5 * material.some_runs(0.5))


@mistake(BIASED)
def vsini_large_in_half(material: Material) -> Rows:
    """In half of the runs v sin i is a tenth too large."""
    return material.relabelled("vsini", material.label("vsini") * np.where(material.some_runs(0.5), 1.1, 1.0))


def _stopped(material: Material, name: str, lower: float, upper: float) -> Rows:
    """Flux computed at the nearest value between two, where the label lies beyond."""
    values = material.label(name)
    held = np.clip(values, lower, upper)
    return material.computed_at(name, held, held != values)


@mistake(EDGES)
def teff_stops_at_13000_k(material: Material) -> Rows:
    """Beyond 13000 K the hottest atmosphere was taken."""
    return _stopped(material, "teff", 3600.0, 13000.0)


@mistake(EDGES)
def teff_stops_at_4000_k(material: Material) -> Rows:
    """Below 4000 K the coolest atmosphere was taken."""
    return _stopped(material, "teff", 4000.0, 15000.0)


@mistake(EDGES)
def logg_stops_at_4_7(material: Material) -> Rows:
    """Above logg 4.7 the densest atmosphere was taken."""
    return _stopped(material, "logg", 2.0, 4.7)


@mistake(EDGES)
def m_h_stops_at_minus_1_2(material: Material) -> Rows:
    """Below [M/H] = -1.2 the most metal-poor atmosphere was taken."""
    return _stopped(material, "m_h", -1.2, 1.5)


@mistake(EDGES)
def m_h_stops_at_1_2(material: Material) -> Rows:
    """Above [M/H] = 1.2 the most metal-rich atmosphere was taken."""
    return _stopped(material, "m_h", -1.5, 1.2)


@mistake(EDGES)
def vmicro_stops_at_0_5(material: Material) -> Rows:
    """Microturbulence below 0.5 km/s was computed as 0.5."""
    return _stopped(material, "vmicro", 0.5, 4.0)


@mistake(EDGES)
def vsini_stops_at_10(material: Material) -> Rows:
    """Rotation below 10 km/s was applied as 10 km/s."""
    labels = material.rows.labels.copy()
    place = material.column("vsini")
    labels[:, place] = np.maximum(labels[:, place], 10.0)
    return material.broadened(labels)
