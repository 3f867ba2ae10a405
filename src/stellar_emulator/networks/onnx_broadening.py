"""Rotation and instrument as ONNX nodes: the same convolutions as `grid.broadening`, in float32.

ONNX has no Bessel function. Both terms of Gray's profile depend on one number, the angle 2 pi vsini frequency, so they
are tabulated and interpolated linearly; with `TABLE_STEP` that changes no transfer by more than 2e-6.
"""

import numpy as np
from onnx import helper

from stellar_emulator.contract import SPEED_OF_LIGHT
from stellar_emulator.grid.broadening import FWHM_PER_SIGMA, rotation_transfer
from stellar_emulator.networks.inference import LIMB_DARKENING_WEIGHT, ExactEmulatorNetwork
from stellar_emulator.networks.onnx_graph import Graph

TABLE_STEP = 0.01
"""Radians between entries of the table of rotation transfer."""


def broadened(graph: Graph, network: ExactEmulatorNetwork, labels: str, made: str) -> str:
    """Add nodes that broaden ``made`` (n, 2 modes + 1) at ``labels`` (n, labels); return the name of the flux."""
    modes = len(network.broadening.frequencies)
    graph.nodes.append(
        helper.make_node(
            "Split", [made, graph.integers("split", [modes, modes, 1])], ["real", "imaginary", "limb"], axis=1
        )
    )
    transfer = graph.node("Mul", [_rotation(graph, network, labels), _instrument(graph, network, labels)], "transfer")
    passed = [graph.node("Mul", [part, transfer], f"{part}/passed") for part in ("real", "imaginary")]
    graph.nodes.append(helper.make_node("Concat", passed, ["passed"], axis=1))
    return graph.node("MatMul", ["passed", graph.constant("synthesis", network.broadening.synthesis)], "broadened")


def _rotation(graph: Graph, network: ExactEmulatorNetwork, labels: str) -> str:
    """Transfer of Gray's profile, (n, modes): (2 (1 - u) D + 2 u L) / (1 - u / 3) with D, L from a table."""
    frequencies = network.broadening.frequencies
    vsini = graph.columns(labels, [network.vsini_column], "vsini")
    places = graph.constant("places", (2.0 * np.pi / TABLE_STEP * frequencies[np.newaxis]).astype(np.float32))
    place = graph.node("Mul", [vsini, places], "place")
    below = graph.node("Floor", [place], "place/floor")
    share = graph.node("Sub", [place, below], "place/share")
    index = graph.whole(below, "place/index")
    largest = 2.0 * np.pi * network.contract.labels[network.vsini_column].upper * frequencies[-1]
    disc, limb = (_interpolated(graph, name, table, index, share) for name, table in _tables(float(largest)).items())
    darkening = graph.node("Div", ["limb", graph.number("limb/weight", LIMB_DARKENING_WEIGHT)], "darkening")
    # D + u (L - D), over (1 - u / 3): the two terms share their factor 2, which the tables hold.
    mixed = graph.node("Mul", [darkening, graph.node("Sub", [limb, disc], "limb-disc")], "darkened")
    whole = graph.node("Add", [disc, mixed], "rotation/whole")
    third = graph.node("Mul", [darkening, graph.number("third", 1.0 / 3.0)], "darkening/third")
    norm = graph.node("Sub", [graph.number("one", 1.0), third], "rotation/norm")
    return graph.node("Div", [whole, norm], "rotation")


def _tables(largest: float) -> dict[str, np.ndarray]:
    """Transfer without limb darkening, and with u = 1 times (1 - u / 3), at equidistant angles."""
    angles = TABLE_STEP * np.arange(int(np.ceil(largest / TABLE_STEP)) + 2, dtype=np.float64)
    frequencies = np.asarray(angles / (2.0 * np.pi), dtype=np.float64)
    disc = rotation_transfer(frequencies, np.ones(1), np.zeros(1))[0]
    limb = rotation_transfer(frequencies, np.ones(1), np.ones(1))[0] * (1.0 - 1.0 / 3.0)
    return {"disc": disc, "limb-table": limb}


def _interpolated(graph: Graph, name: str, table: np.ndarray, index: str, share: str) -> str:
    slopes = np.diff(table).astype(np.float32)
    start = graph.node(
        "Gather", [graph.constant(f"{name}/table", table[:-1].astype(np.float32)), index], f"{name}/start"
    )
    slope = graph.node("Gather", [graph.constant(f"{name}/slopes", slopes), index], f"{name}/slope")
    return graph.node("Add", [start, graph.node("Mul", [share, slope], f"{name}/rise")], f"{name}/value")


def _instrument(graph: Graph, network: ExactEmulatorNetwork, labels: str) -> str:
    """Transfer beyond the sharpest instrument's, (n, modes): exp(-2 pi^2 (sigma^2 - sharpest sigma^2) f^2)."""
    frequencies, sharpest = network.broadening.frequencies, network.broadening.sharpest
    resolution = graph.columns(labels, [network.resolution_column], "resolution")
    ratio = graph.node("Div", [graph.number("sharpest", sharpest), resolution], "ratio")
    squared = graph.node("Mul", [ratio, ratio], "ratio/squared")
    excess = graph.node("Sub", [squared, graph.number("unity", 1.0)], "excess")
    sigma = SPEED_OF_LIGHT / (sharpest * FWHM_PER_SIGMA)
    exponents = (-2.0 * np.pi**2 * sigma**2 * frequencies[np.newaxis] ** 2).astype(np.float32)
    return graph.node(
        "Exp", [graph.node("Mul", [excess, graph.constant("exponents", exponents)], "exponent")], "instrument"
    )
