"""Computes by how much Ca II departs from LTE, with Lightweaver: ``python -m pipelines.departures``.

SYNSPEC computes in LTE, where the cores of the Ca II triplet come out too shallow: in giants of [M/H] = -3 by a tenth
of the equivalent width. Here the statistical equilibrium of Ca II is solved (Osborne & Milic 2021, ApJ 917, 14; five
levels and the continuum, hydrogen and metals in LTE) in the structures that SYNSPEC has, drawn as a contract draws its
runs, and the ratio of the emergent flux to that in LTE is kept: src/stellar_emulator/grid/departures/ca_ii.npz. No
structure has a chromosphere, which fills the innermost cores of dwarfs.

Killed, the same command goes on. It needs the extra ``departures``.
"""

import argparse
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stellar_emulator.cli.command import INTERRUPTED
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import OF_DEPARTURES, read_contract
from stellar_emulator.errors import StellarEmulatorError
from stellar_emulator.grid.departures.departures import CA_II, VELOCITIES, Departures, departures_of
from stellar_emulator.grid.engines.synspec.atmosphere import BOLTZMANN, atmosphere
from stellar_emulator.grid.engines.synspec.run import ALPHA_ELEMENTS
from stellar_emulator.grid.sampling import run_labels
from stellar_emulator.system.files import new_file
from stellar_emulator.system.lock import make_folder

Array = NDArray[np.float64]

SEED = 51207
"""Of the label sequence, none of a contract's own."""

LEFT_OUT = 0.125
"""Share of nodes, drawn by seed, that are left out and told when the table is made."""

CENTRES = (850.0358, 854.4438, 866.4521)
"""Of the lines in the model atom, vacuum wavelengths in nm, in the order of the table's."""

RAYS = 3

COOLEST = 2001.0
"""Least temperature in K: Lightweaver's equation of state ends there, as do a few outermost layers of M giants."""

LTE_TURNS, LTE_CHANGE = 300, 1e-3
"""Formal solutions at most until the continuum's scattering has settled, and the largest change of radiation then."""


def main() -> int:
    """Compute the nodes, then the table; the exit codes are those of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contract", type=Path, default=Path("rvs_stars"), help="whose draws are the nodes")
    parser.add_argument("--nodes", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("output/departures"), help="folder of finished nodes")
    parser.add_argument("--output", type=Path, default=CA_II)
    options = parser.parse_args()
    try:
        import lightweaver  # noqa: F401
    except ImportError:
        print("error: Lightweaver is not installed: pip install 'stellar-emulator[departures]'", file=sys.stderr)
        return 2
    try:
        contract = read_contract(options.contract)
        columns = [[label.name for label in contract.run_labels].index(name) for name in OF_DEPARTURES]
        labels = run_labels(contract, SEED, 0, options.nodes)[:, columns]
        ratios = computed(labels, options.work, options.workers)
        print(_made(labels, ratios, options.output))
    except StellarEmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


def computed(labels: Array, work: Path, workers: int) -> Array:
    """Flux over that in LTE at each node, (nodes, lines, velocities), from the folder where it is already there."""
    make_folder(work)
    files = [work / f"node-{number:05d}.npy" for number in range(len(labels))]
    todo = [number for number, path in enumerate(files) if not path.exists()]
    with (
        ProcessPoolExecutor(workers) as pool,
        tqdm(total=len(labels), initial=len(labels) - len(todo), unit="node") as bar,
    ):
        for number, ratio in zip(todo, pool.map(ratio_at, labels[todo]), strict=True):
            with new_file(files[number]) as partial, partial.open("wb") as stream:
                np.save(stream, ratio)
            bar.update()
    return np.stack([np.load(path) for path in files])


def ratio_at(labels: Array) -> Array:
    """Flux over that in LTE around each line, (lines, velocities), at labels in the order of `OF_DEPARTURES`."""
    warnings.filterwarnings("ignore", message="No config file found")
    import lightweaver as lw

    teff, logg, m_h, alpha_m, vmicro = (float(value) for value in labels)
    structure = atmosphere(teff, logg, m_h, alpha_m)
    temperature = np.maximum(structure.temperature, COOLEST)
    elements = lw.PeriodicTable
    solar = lw.AtomicAbundance()
    enhanced = {
        elements[name.capitalize()]: float(solar[elements[name.capitalize()]]) * 10.0**alpha_m
        for name in ALPHA_ELEMENTS
    }
    abundance = lw.AtomicAbundance(enhanced, abundDex=False, metallicity=m_h)
    atoms = structure.gas_pressure / (BOLTZMANN * temperature) - structure.electron_density
    layers = lw.Atmosphere.make_1d(
        scale=lw.ScaleType.ColumnMass,
        depthScale=10.0 * structure.column_mass,
        temperature=temperature,
        vlos=np.zeros_like(temperature),
        vturb=np.full_like(temperature, 1e3 * vmicro),
        ne=1e6 * structure.electron_density,
        nHTot=1e6 * atoms / float(abundance.totalAbundance),
        abundance=abundance,
    )
    layers.quadrature(RAYS)
    species = lw.RadiativeSet(_atoms(), abundance=abundance)
    species.set_active("Ca")
    context = lw.Context(layers, species.compute_wavelength_grid(), species.compute_eq_pops(layers), Nthreads=1)
    for _ in range(LTE_TURNS):
        if context.formal_sol_gamma_matrices().dJMax < LTE_CHANGE:
            break
    in_lte = _flux(context)
    lw.iterate_ctx_se(context, quiet=True)
    return _flux(context) / in_lte


def _atoms() -> list[Any]:
    """Ca II to be solved, and what makes the continuum; H and K are redistributed completely."""
    from lightweaver import rh_atoms
    from lightweaver.atomic_model import LineType, reconfigure_atom

    calcium = rh_atoms.CaII_atom()
    for line in calcium.lines:
        line.type = LineType.CRD
    reconfigure_atom(calcium)
    others = ("H_6", "C", "O", "Na", "Mg", "Al", "Si", "Fe")
    return [*(getattr(rh_atoms, f"{name}_atom")() for name in others), calcium]


def _flux(context: Any) -> Array:
    """Emergent flux around each line, (lines, velocities), by Gauss's quadrature over angle."""
    nodes, weights = np.polynomial.legendre.leggauss(RAYS)
    angles = 0.5 * (nodes + 1.0)
    wavelength = np.concatenate([centre * (1.0 + VELOCITIES / SPEED_OF_LIGHT) for centre in CENTRES])
    intensity = np.asarray(context.compute_rays(wavelength, mus=angles)).reshape(len(wavelength), RAYS)
    return (intensity @ (0.5 * weights * angles)).reshape(len(CENTRES), len(VELOCITIES))


def _made(labels: Array, ratios: Array, output: Path) -> str:
    """Write the table of all nodes; say how well some that are left out are told by the others."""
    left = np.random.default_rng(SEED).random(len(labels)) < LEFT_OUT
    known = departures_of(labels[~left], ratios[~left])
    off = np.abs(known.at_nodes(labels[left]) - ratios[left])
    table: Departures = departures_of(labels, ratios)
    table.write(output)
    return (
        f"{output}: {len(labels)} nodes; of {int(left.sum())} left out, the ratio is off by {off.mean():.1e} in the "
        f"mean, {np.quantile(off, 0.99):.1e} in 99 % and {off.max():.1e} at most; mean departure "
        f"{np.abs(ratios[left] - 1.0).mean():.1e}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
