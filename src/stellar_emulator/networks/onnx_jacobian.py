"""An emulator's Jacobian as an ONNX graph: every value is carried along with its derivatives by the labels.

Forward differentiation, exact like the flux itself; derivatives have the shape (n, labels, width of the value). The
tables of rotation transfer come with tables of their slopes, which are interpolated in the same way.
"""

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from scipy.special import j0, j1

from stellar_emulator.networks.dense import DenseChain
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.onnx_broadening import (
    Broadened,
    Profile,
    broadening_parts,
    interpolated,
    table_angles,
)
from stellar_emulator.networks.onnx_graph import Graph
from stellar_emulator.networks.onnx_synthesis import synthesis


def jacobian_onnx(network: EmulatorNetwork | ExactEmulatorNetwork) -> onnx.ModelProto:
    """The graph ``labels`` (n, labels) to ``jacobian`` (n, labels, pixels), d flux / d label, float32, any n."""
    graph = Graph()
    if isinstance(network, ExactEmulatorNetwork):
        labels, pixels = len(network.contract.labels), network.broadening.pixels
        slopes = graph.node("MatMul", [_mode_slopes(graph, network), synthesis(graph, network)], "slopes")
    else:
        labels, pixels = network.chain.layers[0].kernel.shape[0], network.chain.layers[-1].kernel.shape[1]
        _, slopes = _chain(graph, "labels", network.chain)
    graph.rename(slopes, "jacobian")
    return graph.model("jacobian", ("labels", labels), ("jacobian", labels, pixels))


def _mode_slopes(graph: Graph, network: ExactEmulatorNetwork) -> str:
    """Derivatives of the broadened modes, (n, labels, 2 modes)."""
    made, slopes = _chain(graph, graph.columns("labels", network.run_columns, "run_labels"), network.chain)
    modes = len(network.broadening.frequencies)
    names = ["real/slope", "imaginary/slope", "limb/slope"]
    *mode_slopes, limb_slope = graph.split(slopes, [modes, modes, 1], names, axis=2)
    parts = broadening_parts(graph, network, "labels", made)
    by_run, by_others = _transfer_slopes(graph, network, parts, limb_slope)
    transfer = graph.with_axis(parts.transfer, "transfer/rows")
    order = graph.integers("order", _order(network))
    halves = []
    for value, slope in zip((parts.real, parts.imaginary), mode_slopes, strict=True):
        rows = graph.with_axis(value, f"{value}/rows")
        own = graph.node("Mul", [slope, transfer], f"{value}/own")
        run = graph.node("Add", [own, graph.node("Mul", [rows, by_run], f"{value}/darkened")], f"{value}/by_run")
        others = graph.node("Mul", [rows, by_others], f"{value}/by_others")
        halves.append(graph.gather(graph.concat([run, others], f"{value}/all", axis=1), order, f"{value}/ordered"))
    return graph.concat(halves, "modes/slopes", axis=2)


def _order(network: ExactEmulatorNetwork) -> list[int]:
    """Where each of the contract's labels stands among the run's labels, vsini and resolution."""
    contract = network.contract
    found = [label.name for label in contract.run_labels] + ["vsini", "resolution"]
    return [found.index(name) for name in contract.label_names]


def _transfer_slopes(graph: Graph, network: ExactEmulatorNetwork, parts: Broadened, limb_slope: str) -> tuple[str, str]:
    """Derivatives of the transfer by the run's labels, through limb darkening, and by vsini and resolution."""
    profile, instrument = parts.profile, parts.instrument
    darkening_slope = graph.node("Div", [limb_slope, "limb/weight"], "darkening/slope")
    by_darkening = graph.node("Mul", [_by_darkening(graph, parts), instrument.transfer], "by_darkening")
    by_run = graph.node("Mul", [graph.with_axis(by_darkening, "by_darkening/rows"), darkening_slope], "by_run")
    by_angle = _by_angle(graph, network, profile)
    angles = graph.constant("angles", (2.0 * np.pi * network.broadening.frequencies[np.newaxis]).astype(np.float32))
    by_vsini = graph.node(
        "Mul", [graph.node("Mul", [by_angle, angles], "rotation/by_vsini"), instrument.transfer], "by_vsini"
    )
    others = [graph.with_axis(by_vsini, "by_vsini/rows")]
    if "resolution" in network.contract.label_names:
        others.append(graph.with_axis(_by_resolution(graph, parts), "by_resolution/rows"))
    return by_run, graph.concat(others, "by_others", axis=1)


def _by_darkening(graph: Graph, parts: Broadened) -> str:
    """Of (disc + u difference) / (1 - u / 3) by u: (difference + rotation / 3) / (1 - u / 3)."""
    third = graph.node("Mul", [parts.rotation, "third"], "rotation/third")
    sum_ = graph.node("Add", [parts.profile.difference, third], "rotation/sum")
    return graph.node("Div", [sum_, parts.profile.norm], "rotation/by_darkening")


def _by_angle(graph: Graph, network: ExactEmulatorNetwork, profile: Profile) -> str:
    """Derivative of the rotation's transfer by the angle 2 pi vsini frequency."""
    angles = table_angles(network)
    disc = interpolated(graph, "disc-slope", 2.0 * _disc_slope(angles), profile.index, profile.share)
    limb = interpolated(graph, "limb-slope", 2.0 * _limb_slope(angles), profile.index, profile.share)
    difference = graph.node("Sub", [limb, disc], "limb-disc/slope")
    mixed = graph.node("Mul", [profile.darkening, difference], "darkened/slope")
    return graph.node("Div", [graph.node("Add", [disc, mixed], "rotation/slope"), profile.norm], "rotation/by_angle")


def _disc_slope(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of J1(x) / x, that is -J2(x) / x, at equidistant angles from 0."""
    x = angles[1:]
    return np.concatenate([[0.0], (x * j0(x) - 2.0 * j1(x)) / x**2])


def _limb_slope(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of (sin x - x cos x) / x^3. As `_disc_slope`."""
    x = angles[1:]
    return np.concatenate([[0.0], np.sin(x) / x**2 - 3.0 * (np.sin(x) - x * np.cos(x)) / x**4])


def _by_resolution(graph: Graph, parts: Broadened) -> str:
    """Derivative of the transfer by resolution R: transfer x exponents x (-2 squared / R), squared as 1 / R^2."""
    instrument = parts.instrument
    share = graph.node("Div", [instrument.squared, instrument.resolution], "resolution/share")
    twice = graph.node("Mul", [share, graph.number("resolution/two", -2.0)], "resolution/twice")
    exponent = graph.node("Mul", [instrument.exponents, twice], "exponent/slope")
    return graph.node("Mul", [parts.transfer, exponent], "by_resolution")


def _chain(graph: Graph, value: str, chain: DenseChain) -> tuple[str, str]:
    """Outputs of dense layers (n, outputs) and their derivatives by the inputs (n, inputs, outputs)."""
    slopes = ""
    for number, layer in enumerate(chain.layers):
        prefix = f"chain/{number}"
        weights = [graph.constant(f"{prefix}/kernel", layer.kernel), graph.constant(f"{prefix}/bias", layer.bias)]
        before = graph.node("Gemm", [value, *weights], prefix)
        value = graph.activation(before, layer.activation)
        if slopes:
            slopes = graph.node("MatMul", [slopes, weights[0]], f"{prefix}/slopes")
        else:
            slopes = _first_slopes(graph, before, layer.kernel)
        if layer.activation != "linear":
            slope = graph.with_axis(_slope(graph, before, value, layer.activation), f"{prefix}/slope/rows")
            slopes = graph.node("Mul", [slopes, slope], f"{prefix}/slopes/passed")
    return value, slopes


def _first_slopes(graph: Graph, rows: str, kernel: NDArray[np.float32]) -> str:
    """The first kernel for each of the rows (n, outputs), so that even a linear chain gives n Jacobians."""
    nothing = graph.node("Mul", [rows, graph.number("nothing", 0.0)], "nothing/rows")
    spread = graph.with_axis(nothing, "nothing/spread")
    return graph.node("Add", [spread, graph.constant("first", kernel)], "first/rows")


def _slope(graph: Graph, before: str, after: str, activation: str) -> str:
    """Derivative of an activation where its input is ``before`` and its output ``after``."""
    name = f"{before}/slope"
    if activation == "relu":
        return graph.single(graph.node("Greater", [before, graph.number(f"{name}/zero", 0.0)], f"{name}/above"), name)
    one = graph.number(f"{name}/one", 1.0)
    if activation == "tanh":
        return graph.node("Sub", [one, graph.node("Mul", [after, after], f"{name}/squared")], name)
    if activation == "silu":
        share = f"{before}/sigmoid"
        left = graph.node("Mul", [after, graph.node("Sub", [one, share], f"{name}/rest")], f"{name}/left")
        return graph.node("Add", [share, left], name)
    assert activation == "gelu"
    return _gelu_slope(graph, before, name)


def _gelu_slope(graph: Graph, before: str, name: str) -> str:
    """(1 + erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi)."""
    area = graph.node("Mul", [f"{before}/shifted", graph.number(f"{name}/half", 0.5)], f"{name}/area")
    squared = graph.node("Mul", [before, before], f"{name}/squared")
    fall = graph.node("Mul", [squared, graph.number(f"{name}/fall", -0.5)], f"{name}/exponent")
    bell = graph.node("Exp", [fall], f"{name}/bell")
    scaled = graph.node("Mul", [before, graph.number(f"{name}/norm", 1.0 / math.sqrt(2.0 * math.pi))], f"{name}/scaled")
    return graph.node("Add", [area, graph.node("Mul", [scaled, bell], f"{name}/density")], name)
