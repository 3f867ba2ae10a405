"""Computes by how much Ca II departs from LTE, with Lightweaver: ``python -m pipelines.departures``.

SYNSPEC computes in LTE, where the cores of the Ca II triplet come out too shallow: in giants of [M/H] = -3 by a tenth
of the equivalent width. Here the statistical equilibrium of Ca II is solved (Osborne & Milic 2021, ApJ 917, 14; five
levels and the continuum, hydrogen and metals in LTE) in the structures that SYNSPEC has, drawn as a contract draws its
runs, and by how much the flux differs from that in LTE is kept: src/stellar_emulator/grid/departures/ca_ii.npz. No
structure has a chromosphere, which fills the innermost cores of dwarfs.

Killed, the same command goes on. It needs the extra ``departures``.
"""

import argparse
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stellar_emulator.cli.command import INTERRUPTED
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import OF_DEPARTURES, Contract, read_contract
from stellar_emulator.errors import InputError, StellarEmulatorError
from stellar_emulator.grid.departures.departures import CA_II, VELOCITIES, columns_of, departures_of
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

MOST_TURNS, LTE_CHANGE = 2000, 5e-3
"""Solutions at most until radiation has settled, and its largest change then where populations are those of LTE."""


@dataclass(frozen=True)
class Node:
    """Flux around each line, (lines, velocities), in LTE and without, at labels in the order of `OF_DEPARTURES`.

    failure: why there is none, or empty.
    """

    labels: Array
    in_lte: Array
    flux: Array
    failure: str = ""


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
        if contract.departures is None:
            raise InputError(f"contract {contract.name} has no departures from LTE: name one that has")
        labels = run_labels(contract, SEED, 0, options.nodes)[:, columns_of(contract)]
        nodes = computed(labels, options.work, options.workers)
        print(_made(nodes, _drawn(contract), options.output))
    except StellarEmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


def computed(labels: Array, work: Path, workers: int) -> list[Node]:
    """The nodes at labels (n, 5), from the folder where they are already there.

    Raises
    ------
    InputError
        If the folder holds nodes of other labels or velocities.
    """
    make_folder(work)
    files = [work / f"node-{number:05d}.npz" for number in range(len(labels))]
    todo = [number for number, path in enumerate(files) if not path.exists()]
    with (
        ProcessPoolExecutor(workers) as pool,
        tqdm(total=len(labels), initial=len(labels) - len(todo), unit="node") as bar,
    ):
        for number, node in zip(todo, pool.map(node_at, labels[todo]), strict=True):
            with new_file(files[number]) as partial, partial.open("wb") as stream:
                np.savez(stream, **vars(node), velocities=VELOCITIES)
            bar.update()
    return [_read(path, own) for path, own in zip(files, labels, strict=True)]


def _read(path: Path, labels: Array) -> Node:
    with path.open("rb") as stream, np.load(stream) as found:
        if not (np.array_equal(found["labels"], labels) and np.array_equal(found["velocities"], VELOCITIES)):
            raise InputError(f"{path} is a node of other labels or velocities: give --work another folder")
        return Node(found["labels"], found["in_lte"], found["flux"], str(found["failure"]))


def node_at(labels: Array) -> Node:
    """Flux around each line at labels in the order of `OF_DEPARTURES`, or why there is none."""
    nothing = np.full((len(CENTRES), len(VELOCITIES)), np.nan)
    try:
        in_lte, flux = _solved(labels)
    except Exception as error:
        return Node(labels, nothing, nothing, " ".join(str(error).split()) or type(error).__name__)
    if not (np.isfinite(in_lte).all() and np.isfinite(flux).all() and min(in_lte.min(), flux.min()) > 0.0):
        return Node(labels, nothing, nothing, "flux is not finite and positive")
    return Node(labels, in_lte, flux)


def _solved(labels: Array) -> tuple[Array, Array]:
    """Flux in LTE and without, (lines, velocities) each. Raises `RuntimeError` if either does not settle."""
    warnings.filterwarnings("ignore", message="No config file found")
    import lightweaver as lw

    context = _context(labels)
    for _ in range(MOST_TURNS):
        if context.formal_sol_gamma_matrices().dJMax < LTE_CHANGE:
            break
    else:
        raise RuntimeError("radiation in LTE does not settle")
    in_lte = _flux(context)
    if lw.iterate_ctx_se(context, NmaxIter=MOST_TURNS, quiet=True) >= MOST_TURNS - 1:
        raise RuntimeError("populations do not settle")
    return in_lte, _flux(context)


def _context(labels: Array) -> Any:
    """What Lightweaver solves: the structure at labels, and the species in it."""
    import lightweaver as lw

    teff, logg, m_h, alpha_m, vmicro = (float(value) for value in labels)
    structure = atmosphere(teff, logg, m_h, alpha_m)
    temperature = np.maximum(structure.temperature, COOLEST)
    solar, elements = lw.AtomicAbundance(), [lw.PeriodicTable[name.capitalize()] for name in ALPHA_ELEMENTS]
    enhanced = {element: float(solar[element]) * 10.0**alpha_m for element in elements}
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
    return lw.Context(layers, species.compute_wavelength_grid(), species.compute_eq_pops(layers), Nthreads=1)


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


def _drawn(contract: Contract) -> tuple[Array, Array, Array]:
    """Bounds of the labels on which departures depend, (5,) each, and corners of Teff and log g, (corners, 2)."""
    labels = [contract.run_labels[column] for column in columns_of(contract)]
    lower, upper = (np.array([getattr(label, end) for label in labels]) for end in ("lower", "upper"))
    if contract.hull is not None and contract.hull.labels == OF_DEPARTURES[:2]:
        return lower, upper, np.array(contract.hull.corners)
    ends = np.stack([lower[:2], upper[:2]])
    return lower, upper, np.array([[teff, logg] for teff in ends[:, 0] for logg in ends[:, 1]])


def _made(nodes: list[Node], drawn: tuple[Array, Array, Array], output: Path) -> str:
    """Write the table of all nodes; say how well some that are left out are told by the others."""
    good = [node for node in nodes if not node.failure]
    if not good:
        raise InputError(f"none of the {len(nodes)} nodes could be computed: {nodes[0].failure}")
    labels, in_lte, flux = (np.stack([getattr(node, name) for node in good]) for name in ("labels", "in_lte", "flux"))
    left = np.random.default_rng(SEED).random(len(good)) < LEFT_OUT
    whole, known = (departures_of(labels[m], drawn, in_lte[m], flux[m]) for m in (left | True, ~left))
    wanted = whole.at_nodes()[left]
    off = np.abs(known.at(labels[left]) - wanted)
    whole.write(output, nodes=len(good), seed=SEED, lightweaver=version("lightweaver"))
    failures = [f"left out: {node.labels}: {node.failure}" for node in nodes if node.failure]
    told = (
        f"{output}: {len(good)} nodes; at {int(left.sum())} of them, left out, departures are off by {off.mean():.1e} "
        f"in the mean, {np.quantile(off, 0.99):.1e} in 99 % and {off.max():.1e} at most, where they are "
        f"{np.abs(wanted).mean():.1e} in the mean"
    )
    return "\n".join([*failures, told])


if __name__ == "__main__":
    raise SystemExit(main())
