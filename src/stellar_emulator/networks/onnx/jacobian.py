"""An emulator's Jacobian as an ONNX graph, in which every value is accompanied by its derivatives by the labels.

Forward differentiation is as exact as the flux itself; derivatives have the shape (n, labels, width of the value).
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from stellar_emulator.broadening.disc_series import disc_slopes, profile_of
from stellar_emulator.broadening.rotation import rotation_slopes
from stellar_emulator.contract.roles import RESOLUTION, ROTATION
from stellar_emulator.networks.coordinates import Shape
from stellar_emulator.networks.dense import DenseChain
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.onnx.broadened import (
    Broadened,
    Factor,
    broadening_parts,
    chain_outputs,
    mixed,
    series_parts,
)
from stellar_emulator.networks.onnx.graph import DOUBLE, SINGLE, Graph, Outputs
from stellar_emulator.networks.onnx.synthesis import Rectangle, rectangle, synthesised, synthesised_by_pixel
from stellar_emulator.networks.radial import RadialFunctions

if TYPE_CHECKING:
    import onnx


def jacobian_onnx(network: EmulatorNetwork | ExactEmulatorNetwork) -> "onnx.ModelProto":
    """The graph ``labels`` (n, labels) to ``jacobian`` (n, labels, pixels), d flux / d label, float32, any n."""
    graph = Graph()
    if isinstance(network, ExactEmulatorNetwork):
        labels, pixels = len(network.contract.labels), network.broadening.pixels
        _, by_labels = _modes(graph, network)
        flat = synthesised(graph, network.broadening.synthesis, by_labels)
        slopes = graph.reshape(flat, [-1, labels, pixels], "slopes")
    else:
        labels, pixels = network.chain.inputs, network.chain.outputs
        _, slopes = _chain(graph, "labels", network.chain, None)
    graph.rename(slopes, "jacobian")
    return graph.model("jacobian", ("labels", labels), ("jacobian", labels, pixels))


def linear_onnx(network: EmulatorNetwork | ExactEmulatorNetwork) -> "onnx.ModelProto":
    """The graph ``labels`` (n, labels) to ``linear`` (pixels, n, 1 + labels), flux and its derivatives.

    One pass makes both, and pixels come first, as sums over modes give them.
    """
    graph = Graph()
    if isinstance(network, ExactEmulatorNetwork):
        labels, pixels = len(network.contract.labels), network.broadening.pixels
        together = graph.concat([*_modes(graph, network)], "modes/linear", axis=1)
        flat = synthesised_by_pixel(graph, network.broadening.synthesis, together)
        found = graph.reshape(flat, [pixels, -1, 1 + labels], "linear/rows")
    else:
        labels, pixels = network.chain.inputs, network.chain.outputs
        value, slopes = _chain(graph, "labels", network.chain, None)
        together = graph.concat([graph.with_axis(value, "flux/rows"), slopes], "flux/linear", axis=1)
        found = graph.transpose(together, [2, 0, 1], "linear/pixels")
    graph.rename(found, "linear")
    return graph.model("linear", ("labels", labels), ("linear", pixels, 1 + labels), row_axis=1)


def _modes(graph: Graph, network: ExactEmulatorNetwork) -> tuple[str, str]:
    """The broadened modes and their derivatives, (n, 1 and labels, rows, 2, columns) on the `Rectangle`."""
    run_labels = graph.columns("labels", network.run_columns, "run_labels")
    places = rectangle(network.broadening.synthesis)
    made, slopes = _chain(graph, run_labels, network.chain, chain_outputs(network, places))
    rows, columns = places.number.shape
    names = ["modes/slope", "limb/slope"]
    mode_slopes, limb_slope = graph.split(slopes, [2 * rows * columns, 1], names, axis=2)
    parts = broadening_parts(graph, network, places, "labels", made)

    def placed(value: str, labels: int, halves: int) -> str:
        return graph.reshape(value, [-1, labels, rows, halves, columns], f"{value}/placed")

    run, others = len(network.run_columns), len(network.contract.labels) - len(network.run_columns)
    by_run, by_others = _transfer_slopes(graph, network, places, parts, limb_slope)
    modes, transfer = placed(parts.modes, 1, 2), placed(parts.transfer, 1, 1)
    flux = graph.node("Mul", [modes, transfer], "modes/passed")
    found = graph.node("Mul", [placed(mode_slopes, run, 2), transfer], "modes/own")
    if by_run:
        darkened = graph.node("Mul", [modes, placed(by_run, run, 1)], "modes/darkened")
        found = graph.node("Add", [found, darkened], "modes/by_run")
    if by_others:
        broader = graph.node("Mul", [modes, placed(by_others, others, 1)], "modes/by_others")
        found = graph.concat([found, broader], "modes/found", axis=1)
    return flux, graph.gather(found, graph.integers("order", _order(network)), "modes/slopes")


def _order(network: ExactEmulatorNetwork) -> list[int]:
    """Index of each of the contract's labels among the run's labels followed by those that broaden, by role."""
    contract = network.contract
    roles = [*network.broadening.disc_series, RESOLUTION]
    broadening = [label.name for role in roles if (label := contract.of_role(role)) is not None]
    found = [*(label.name for label in contract.run_labels), *broadening]
    return [found.index(name) for name in contract.label_names]


def _transfer_slopes(
    graph: Graph, network: ExactEmulatorNetwork, places: Rectangle, parts: Broadened, limb_slope: str
) -> tuple[str, str]:
    """Derivatives of the transfer by the run's labels, through limb darkening, and by those that broaden.

    Either is empty if there are no such labels.
    """
    by_run, others = "", []
    if parts.factors:
        darkening_slope = graph.node("Div", [limb_slope, "limb/weight"], "darkening/slope")
        by_darkening = _by_darkening(graph, parts)
        by_run = graph.node("Mul", [graph.with_axis(by_darkening, "by_darkening/rows"), darkening_slope], "by_run")
    for factor in parts.factors:
        turned = _factor_slope(graph, network, places, factor)
        name = f"by_{factor.role}"
        by_label = graph.node("Mul", [turned, parts.but(graph, factor, name)], name)
        others.append(graph.with_axis(by_label, f"{name}/rows"))
    if network.contract.of_role(RESOLUTION) is not None:
        others.append(graph.with_axis(_by_resolution(graph, parts), "by_resolution/rows"))
    return by_run, graph.concat(others, "by_others", axis=1) if others else ""


def _by_darkening(graph: Graph, parts: Broadened) -> str:
    """Derivative of the whole transfer by limb darkening u, a sum over its factors.

    The derivative of (disc + u difference) / (1 - u / 3) by u is (difference + transfer / 3) / (1 - u / 3).
    """
    total = ""
    for factor in parts.factors:
        name = "rotation" if factor.role == ROTATION else factor.role
        third = graph.node("Mul", [factor.transfer, "third"], f"{name}/third")
        sum_ = graph.node("Add", [factor.difference, third], f"{name}/sum")
        own = graph.node("Div", [sum_, factor.norm], f"{name}/by_darkening")
        rest = parts.but(graph, factor, f"{name}/by_darkening")
        part = graph.node("Mul", [own, rest], "by_darkening" if not total else f"{name}/darkening/slope")
        total = graph.node("Add", [total, part], f"by_darkening/{name}") if total else part
    return total


def _factor_slope(graph: Graph, network: ExactEmulatorNetwork, places: Rectangle, factor: Factor) -> str:
    """Derivative of one factor by its label."""
    frequencies = network.broadening.frequencies
    if factor.role == ROTATION:
        slopes, prefix, name = rotation_slopes(frequencies, factor.largest), "", "rotation/by_vsini"
    else:
        slopes = disc_slopes(profile_of(factor.role), frequencies, factor.largest)
        prefix, name = f"{factor.role}/", f"{factor.role}/slope"
    names = [f"{prefix}disc/slope", f"{prefix}limb-disc/slope"]
    disc, difference = series_parts(graph, slopes.at(places.number.ravel()), "Sin", factor.phi, names)
    return mixed(graph, disc, difference, factor.darkening, factor.norm, name)


def _by_resolution(graph: Graph, parts: Broadened) -> str:
    """Derivative of the transfer by resolution R: transfer x exponents x (-2 squared / R), squared as 1 / R^2."""
    instrument = parts.instrument
    share = graph.node("Div", [instrument.squared, instrument.resolution], "resolution/share")
    twice = graph.node("Mul", [share, graph.number("resolution/two", -2.0)], "resolution/twice")
    exponent = graph.node("Mul", [instrument.exponents, twice], "exponent/slope")
    return graph.node("Mul", [parts.transfer, exponent], "by_resolution")


def _chain(graph: Graph, value: str, chain: DenseChain, outputs: Outputs | None) -> tuple[str, str]:
    """As `Graph.chain`, with the derivatives of its outputs by the inputs, (n, inputs, outputs)."""
    slopes = ""
    if chain.coordinates:
        value, slopes = _coordinates(graph, value, chain)
    if chain.radial is not None:
        value, slopes = _radial(graph, value, slopes, chain.radial)
    for number, layer in enumerate(chain.layers):
        last = number == len(chain.layers) - 1
        prefix = f"chain/{number}"
        kernel, bias = graph.layer_weights(prefix, layer, outputs if last else None)
        radial = number == 0 and chain.radial is not None
        before = (
            graph.summed(value, kernel, bias, prefix) if radial else graph.node("Gemm", [value, kernel, bias], prefix)
        )
        value = graph.activation(before, layer.activation)
        if radial:
            exact = graph.node("MatMul", [slopes, f"{kernel}/double"], f"{prefix}/slopes/double")
            slopes = graph.cast(exact, f"{prefix}/slopes", SINGLE)
        elif slopes:
            slopes = graph.node("MatMul", [slopes, kernel], f"{prefix}/slopes")
        else:
            slopes = _first_slopes(graph, before, kernel)
        if layer.activation != "linear":
            slope = graph.with_axis(_slope(graph, before, value, layer.activation), f"{prefix}/slope/rows")
            slopes = graph.node("Mul", [slopes, slope], f"{prefix}/slopes/passed")
    return value, slopes


def _coordinates(graph: Graph, labels: str, chain: DenseChain) -> tuple[str, str]:
    """Coordinates of labels, and their derivatives by the labels, (n, labels, coordinates)."""
    value, parts = graph.coordinates(labels, "chain", chain.coordinates)
    own = graph.concat([_coordinate_slope(graph, *part) for part in parts], "chain/coordinates/slope", axis=1)
    place = np.zeros((chain.inputs, len(chain.coordinates)), dtype=np.float32)
    for number, coordinate in enumerate(chain.coordinates):
        place[coordinate.column, number] = 1.0
    rows = graph.with_axis(own, "chain/coordinates/slope/rows")
    return value, graph.node("Mul", [rows, graph.constant("chain/place", place)], "chain/coordinates/slopes")


def _radial(graph: Graph, coordinates: str, slopes: str, functions: RadialFunctions) -> tuple[str, str]:
    """Radial functions and their derivatives by the inputs, in double precision.

    slopes: of the coordinates by the inputs, in single precision, or empty if they are these.

    The derivative of the cube of a distance r by a place is 3 r (place - centre).
    """
    name = "chain/radial"
    parts = graph.radial(coordinates, name, functions)
    if not slopes:
        unity = np.eye(len(functions.scale), dtype=np.float32)
        slopes = _first_slopes(graph, coordinates, graph.constant(f"{name}/unity", unity))
    scaled = graph.node(
        "Mul", [graph.cast(slopes, f"{name}/slopes/double", DOUBLE), parts.scale], f"{name}/slopes/scaled"
    )
    away = graph.transpose(parts.apart, [0, 2, 1], f"{name}/away")
    thrice = graph.node(
        "Mul",
        [parts.distance, graph.cast(graph.number(f"{name}/three", 3.0), f"{name}/three/double", DOUBLE)],
        f"{name}/thrice",
    )
    outward = graph.node("Mul", [away, graph.with_axis(thrice, f"{name}/thrice/rows")], f"{name}/outward")
    cubes = graph.node("MatMul", [scaled, outward], f"{name}/slopes/cubes")
    return parts.values, graph.concat([cubes, scaled], f"{name}/slopes", axis=2)


def _coordinate_slope(graph: Graph, shape: Shape, value: str) -> str:
    """Derivatives of coordinates (n, coordinates of one shape) by the label that each is made of."""
    name = f"{value}/slope"
    if shape == "reciprocal":
        return graph.node("Neg", [graph.node("Mul", [value, value], f"{name}/squared")], name)
    if shape == "power":
        return graph.node("Mul", [value, graph.number(f"{name}/log", math.log(10.0))], name)
    nothing = graph.node("Mul", [value, graph.number(f"{name}/zero", 0.0)], f"{name}/nothing")
    return graph.node("Add", [nothing, graph.number(f"{name}/one", 1.0)], name)


def _first_slopes(graph: Graph, rows: str, kernel: str) -> str:
    """The first kernel repeated for each of the rows (n, outputs), so that even a linear chain gives n Jacobians."""
    nothing = graph.node("Mul", [rows, graph.number("nothing", 0.0)], "nothing/rows")
    spread = graph.with_axis(nothing, "nothing/spread")
    return graph.node("Add", [spread, kernel], "first/rows")


def _slope(graph: Graph, before: str, after: str, activation: str) -> str:
    """Derivative of an activation with input ``before`` and output ``after``."""
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
