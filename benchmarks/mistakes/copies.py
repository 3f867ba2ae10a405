"""Runs and spectra that are in the grid twice, with a little jitter that hides it."""

import numpy as np

from benchmarks.mistakes.material import Material, joined, mistake
from stellar_emulator.grid import sampling
from stellar_emulator.grid.store import Rows

COPIES = "near-duplicates"

NOISE = 1e-5


def _copied(material: Material, share: float, jitter: dict[str, float], rounded: bool = False) -> Rows:
    """Some runs once more, under new numbers, with labels moved by up to ``jitter`` or rounded to it."""
    rows, chosen = material.rows, material.some_runs(share)
    labels = rows.labels[chosen].copy()
    for name, step in jitter.items():
        place = material.column(name)
        label = material.contract.labels[place]
        values = labels[:, place]
        _, run = np.unique(rows.run_id[chosen], return_inverse=True)
        move = material.random.uniform(-step, step, run.max() + 1)[run.ravel()]
        values = np.round(values / step) * step if rounded else values + move
        labels[:, place] = np.clip(values, label.lower, label.upper)
    noise = material.random.normal(0.0, NOISE, rows.flux[chosen].shape).astype(np.float32)
    copies = Rows(
        rows.run_id[chosen] + rows.run_id.max() + 1,
        labels,
        sampling.weights(material.contract, labels),
        np.clip(rows.flux[chosen] + noise, 0.0, 1.049),
    )
    return joined([rows, copies])


@mistake(COPIES)
def half_the_runs_again(material: Material) -> Rows:
    """To enlarge the grid, half of the runs were added again with labels moved by less than a kelvin."""
    return _copied(material, 0.5, {"teff": 0.9, "logg": 0.001, "m_h": 0.001, "vmicro": 0.001})


@mistake(COPIES)
def runs_again_with_rounded_labels(material: Material) -> Rows:
    """A twentieth of the runs was computed again for a test, at labels rounded to 1 K and 0.001 dex."""
    return _copied(material, 0.05, {"teff": 1.0, "logg": 0.001, "m_h": 0.001, "vmicro": 0.001}, rounded=True)


@mistake(COPIES)
def some_runs_again_with_coarser_labels(material: Material) -> Rows:
    """One run in a hundred was computed again, at labels rounded to 10 K and 0.01 dex."""
    return _copied(material, 0.01, {"teff": 10.0, "logg": 0.01, "m_h": 0.01, "vmicro": 0.01}, rounded=True)


@mistake(COPIES)
def two_runs_again(material: Material) -> Rows:
    """Two runs were repeated, with labels moved by up to 5 K."""
    return _copied(material, 0.003, {"teff": 5.0, "logg": 0.003, "m_h": 0.003, "vmicro": 0.003})


@mistake(COPIES)
def spectra_again_in_their_runs(material: Material) -> Rows:
    """Spectra were doubled inside their runs, with v sin i moved by a hundredth of a km/s."""
    rows, chosen = material.rows, np.flatnonzero(material.some_rows(0.05))
    labels = rows.labels[chosen].copy()
    place = material.column("vsini")
    labels[:, place] = np.clip(labels[:, place] + 0.01, 0.0, 300.0)
    noise = material.random.normal(0.0, NOISE, (len(chosen), rows.flux.shape[1])).astype(np.float32)
    flux = np.clip(rows.flux[chosen] + noise, 0.0, 1.049)
    return joined([rows, Rows(rows.run_id[chosen], labels, rows.weight[chosen], flux)])


@mistake(COPIES)
def flux_of_the_run_before(material: Material) -> Rows:
    """A loop wrote the spectra of one run under the labels of the next, in twenty runs, noise added."""
    flux, run_id = material.rows.flux.copy(), material.rows.run_id
    names = np.unique(run_id)
    for place in material.random.choice(np.arange(1, len(names)), 20, replace=False):
        to, source = run_id == names[place], run_id == names[place - 1]
        noise = material.random.normal(0.0, NOISE, flux[to].shape).astype(np.float32)
        flux[to] = material.rows.flux[source] + noise
    return material.with_flux(flux)
