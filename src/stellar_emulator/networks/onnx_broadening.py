"""Rotation and instrument as ONNX nodes: the same convolutions as `grid.broadening`, in float32.

ONNX has no Bessel function. Both terms of Gray's profile depend on one number, the angle 2 pi vsini frequency, so they
are tabulated and interpolated linearly; with `TABLE_STEP` that changes no transfer by more than 2e-6.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract import SPEED_OF_LIGHT
from stellar_emulator.grid.broadening import FWHM_PER_SIGMA, rotation_transfer
from stellar_emulator.networks.inference import LIMB_DARKENING_WEIGHT, ExactEmulatorNetwork
from stellar_emulator.networks.onnx_graph import Graph, Outputs
from stellar_emulator.networks.onnx_synthesis import rectangle, synthesised

TABLE_STEP = 0.01
"""Radians between entries of the table of rotation transfer."""


@dataclass(frozen=True)
class Broadened:
    """Names of values on the way from modes to flux.

    modes: without rotation, (n, rows x 2 x columns) on the `Rectangle`; transfer: what multiplies them, (n, rows x
    columns), the product of ``rotation`` and ``instrument.transfer``; profile: what ``rotation`` was made of.
    """

    modes: str
    transfer: str
    rotation: str
    profile: "Profile"
    instrument: "Instrument"


@dataclass(frozen=True)
class Profile:
    """Names of the parts of (disc + darkening x difference) / norm, Gray's profile.

    place: of an angle in the tables, as ``index`` and the ``share`` of the way to the next entry.
    """

    index: str
    share: str
    disc: str
    difference: str
    darkening: str
    norm: str


@dataclass(frozen=True)
class Instrument:
    """Names of the parts of exp((squared - 1) x exponents); squared: (sharpest resolution / resolution)^2."""

    transfer: str
    exponents: str
    squared: str
    resolution: str


def broadened(graph: Graph, network: ExactEmulatorNetwork, labels: str, run_labels: str) -> str:
    """Add nodes from labels (n, labels), and those of them that are the run's, to the flux; return its name."""
    made = graph.chain(run_labels, "chain", network.chain, chain_outputs(network))
    parts = broadening_parts(graph, network, labels, made)
    rows, columns = rectangle(network.broadening.synthesis).number.shape
    modes = graph.reshape(parts.modes, [-1, rows, 2, columns], "modes/placed")
    transfer = graph.reshape(parts.transfer, [-1, rows, 1, columns], "transfer/placed")
    return synthesised(graph, network.broadening.synthesis, graph.node("Mul", [modes, transfer], "passed"))


def chain_outputs(network: ExactEmulatorNetwork) -> Outputs:
    """Of the chain's outputs (n, 2 modes + 1): modes on the rectangle, and limb darkening as it is."""
    placed = rectangle(network.broadening.synthesis).parts
    limb = 2 * len(network.broadening.frequencies)
    return Outputs(np.append(placed.places, limb), np.append(placed.factors, np.float32(1.0)))


def placed_frequencies(network: ExactEmulatorNetwork) -> NDArray[np.float64]:
    """Frequency of the mode at each place of the rectangle, (1, rows x columns)."""
    number = rectangle(network.broadening.synthesis).number
    return np.asarray(network.broadening.frequencies[number.reshape(1, -1)])


def broadening_parts(graph: Graph, network: ExactEmulatorNetwork, labels: str, made: str) -> Broadened:
    """Add nodes for everything that broadening needs before the synthesis; ``made``: by `chain_outputs`."""
    places = rectangle(network.broadening.synthesis).number.size
    modes, limb = graph.split(made, [2 * places, 1], ["modes", "limb"], axis=1)
    profile = _profile(graph, network, labels, limb)
    rotation, instrument = _rotation(graph, profile), _instrument(graph, network, labels)
    transfer = graph.node("Mul", [rotation, instrument.transfer], "transfer")
    return Broadened(modes, transfer, rotation, profile, instrument)


def _profile(graph: Graph, network: ExactEmulatorNetwork, labels: str, limb: str) -> Profile:
    """Parts of the transfer of Gray's profile, (n, places): (2 (1 - u) D + 2 u L) / (1 - u / 3), D and L tabulated."""
    vsini = graph.columns(labels, [network.vsini_column], "vsini")
    places = graph.constant("places", (2.0 * np.pi / TABLE_STEP * placed_frequencies(network)).astype(np.float32))
    place = graph.node("Mul", [vsini, places], "place")
    below = graph.node("Floor", [place], "place/floor")
    share = graph.node("Sub", [place, below], "place/share")
    index = graph.whole(below, "place/index")
    angles = table_angles(network)
    disc = interpolated(graph, "disc", _disc(angles), index, share)
    full = interpolated(graph, "limb-table", _limb(angles), index, share)
    darkening = graph.node("Div", [limb, graph.number("limb/weight", LIMB_DARKENING_WEIGHT)], "darkening")
    third = graph.node("Mul", [darkening, graph.number("third", 1.0 / 3.0)], "darkening/third")
    return Profile(
        index=index,
        share=share,
        disc=disc,
        difference=graph.node("Sub", [full, disc], "limb-disc"),
        darkening=darkening,
        norm=graph.node("Sub", [graph.number("one", 1.0), third], "rotation/norm"),
    )


def _rotation(graph: Graph, profile: Profile) -> str:
    # D + u (L - D), over (1 - u / 3): the two terms share their factor 2, which the tables hold.
    mixed = graph.node("Mul", [profile.darkening, profile.difference], "darkened")
    whole = graph.node("Add", [profile.disc, mixed], "rotation/whole")
    return graph.node("Div", [whole, profile.norm], "rotation")


def table_angles(network: ExactEmulatorNetwork) -> NDArray[np.float64]:
    """Equidistant angles 2 pi vsini frequency up to the largest of the contract's, for tables."""
    largest = 2.0 * np.pi * network.contract.labels[network.vsini_column].upper * network.broadening.frequencies[-1]
    return TABLE_STEP * np.arange(int(np.ceil(largest / TABLE_STEP)) + 2, dtype=np.float64)


def _disc(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transfer without limb darkening."""
    return np.asarray(rotation_transfer(angles / (2.0 * np.pi), np.ones(1), np.zeros(1))[0])


def _limb(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transfer with u = 1, times 1 - u / 3."""
    return np.asarray(rotation_transfer(angles / (2.0 * np.pi), np.ones(1), np.ones(1))[0] * (1.0 - 1.0 / 3.0))


def interpolated(graph: Graph, name: str, table: NDArray[np.float64], index: str, share: str) -> str:
    """Entries of a table, linear between them."""
    slopes = np.diff(table).astype(np.float32)
    start = graph.node(
        "Gather", [graph.constant(f"{name}/table", table[:-1].astype(np.float32)), index], f"{name}/start"
    )
    slope = graph.node("Gather", [graph.constant(f"{name}/slopes", slopes), index], f"{name}/slope")
    return graph.node("Add", [start, graph.node("Mul", [share, slope], f"{name}/rise")], f"{name}/value")


def _instrument(graph: Graph, network: ExactEmulatorNetwork, labels: str) -> Instrument:
    """Transfer beyond the sharpest instrument's, (n, places): exp(-2 pi^2 (sigma^2 - sharpest sigma^2) f^2)."""
    sharpest = network.broadening.sharpest
    if network.contract.instrument:
        resolution = graph.number("resolution", network.contract.instrument.resolution)
    else:
        resolution = graph.columns(labels, [network.contract.label_names.index("resolution")], "resolution")
    ratio = graph.node("Div", [graph.number("sharpest", sharpest), resolution], "ratio")
    squared = graph.node("Mul", [ratio, ratio], "ratio/squared")
    excess = graph.node("Sub", [squared, graph.number("unity", 1.0)], "excess")
    sigma = SPEED_OF_LIGHT / (sharpest * FWHM_PER_SIGMA)
    exponents = graph.constant(
        "exponents", (-2.0 * np.pi**2 * sigma**2 * placed_frequencies(network) ** 2).astype(np.float32)
    )
    transfer = graph.node("Exp", [graph.node("Mul", [excess, exponents], "exponent")], "instrument")
    return Instrument(transfer, exponents, squared, resolution)
