"""Rotation, instrument and other broadening as ONNX nodes: the convolutions of `broadening.broadening`, in float32."""

from dataclasses import dataclass

import numpy as np

from stellar_emulator.broadening.broadening import FWHM_PER_SIGMA
from stellar_emulator.broadening.disc_series import DiscSeries
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.roles import RESOLUTION, ROTATION
from stellar_emulator.networks.inference import LIMB_DARKENING_WEIGHT, ExactEmulatorNetwork
from stellar_emulator.networks.onnx.graph import Graph, Outputs
from stellar_emulator.networks.onnx.synthesis import Rectangle, rectangle, synthesised


@dataclass(frozen=True)
class Broadened:
    """Names of values on the way from modes to flux.

    modes: as the sharpest instrument sees them, (n, rows x 2 x columns) on the `Rectangle`; transfer: their factors,
    (n, rows x columns), the product of ``instrument.transfer`` and those of all ``factors``.
    """

    modes: str
    transfer: str
    factors: tuple["Factor", ...]
    instrument: "Instrument"

    def but(self, graph: Graph, factor: "Factor", name: str) -> str:
        """Add nodes for the transfer without one of its factors."""
        value = self.instrument.transfer
        for other in self.factors:
            if other is not factor:
                value = graph.node("Mul", [value, other.transfer], f"{name}/but/{other.role}")
        return value


@dataclass(frozen=True)
class Factor:
    """The factor of one label on modes: (disc + darkening x difference) / norm, as in `DiscSeries`.

    role and largest: those of the label; the others: names of the parts.
    """

    role: str
    largest: float
    phi: str
    disc: str
    difference: str
    darkening: str
    norm: str
    transfer: str


@dataclass(frozen=True)
class Instrument:
    """Names of the parts of exp((squared - 1) x exponents); squared: (sharpest resolution / resolution)^2."""

    transfer: str
    exponents: str
    squared: str
    resolution: str


def broadened(graph: Graph, network: ExactEmulatorNetwork, labels: str, run_labels: str) -> str:
    """Add nodes from labels (n, labels), and those of them that are the run's, to the flux; return its name."""
    places = rectangle(network.broadening.synthesis)
    made = graph.chain(run_labels, "chain", network.chain, chain_outputs(network, places))
    parts = broadening_parts(graph, network, places, labels, made)
    rows, columns = places.number.shape
    modes = graph.reshape(parts.modes, [-1, rows, 2, columns], "modes/placed")
    transfer = graph.reshape(parts.transfer, [-1, rows, 1, columns], "transfer/placed")
    return synthesised(graph, network.broadening.synthesis, graph.node("Mul", [modes, transfer], "passed"))


def chain_outputs(network: ExactEmulatorNetwork, places: Rectangle) -> Outputs:
    """From the chain's outputs (n, 2 modes + 1): modes on the rectangle, and limb darkening unchanged."""
    placed = places.parts
    limb = 2 * len(network.broadening.frequencies)
    return Outputs(np.append(placed.places, limb), np.append(placed.factors, np.float32(1.0)))


def broadening_parts(
    graph: Graph, network: ExactEmulatorNetwork, places: Rectangle, labels: str, made: str
) -> Broadened:
    """Add nodes for everything that broadening needs before the synthesis; ``made``: by `chain_outputs`."""
    modes, limb = graph.split(made, [2 * places.number.size, 1], ["modes", "limb"], axis=1)
    factors = _factors(graph, network, places, labels, limb)
    instrument = _instrument(graph, network, places, labels)
    transfer = instrument.transfer
    for number, factor in enumerate(factors):
        name = "transfer" if number == 0 else f"transfer/{factor.role}"
        transfer = graph.node("Mul", [factor.transfer, transfer], name)
    return Broadened(modes, transfer, factors, instrument)


def _factors(
    graph: Graph, network: ExactEmulatorNetwork, places: Rectangle, labels: str, limb: str
) -> tuple[Factor, ...]:
    """Transfers of all labels that depend on limb darkening, (n, places) each; rotation first."""
    made: list[Factor] = []
    darkening = norm = ""
    for role, series in network.broadening.disc_series.items():
        prefix = "" if role == ROTATION else f"{role}/"
        value = _label(graph, network, labels, role)
        largest = graph.number("fastest" if role == ROTATION else f"{role}/largest", series.largest)
        phi = graph.node("Asin", [graph.node("Div", [value, largest], f"{prefix}speed")], f"{prefix}phi")
        names = [f"{prefix}disc", f"{prefix}limb-disc"]
        disc, difference = series_parts(graph, series.at(places.number.ravel()), "Cos", phi, names)
        if not made:
            darkening, norm = _darkening(graph, limb)
        name = "rotation" if role == ROTATION else f"{role}/transfer"
        transfer = mixed(graph, disc, difference, darkening, norm, name)
        made.append(Factor(role, series.largest, phi, disc, difference, darkening, norm, transfer))
    return tuple(made)


def _label(graph: Graph, network: ExactEmulatorNetwork, labels: str, role: str) -> str:
    """The label that has a role, (n, 1)."""
    place = network.contract.column_of(role)
    assert place is not None
    return graph.columns(labels, [place], role)


def _darkening(graph: Graph, limb: str) -> tuple[str, str]:
    """Limb darkening u, and 1 - u / 3."""
    darkening = graph.node("Div", [limb, graph.number("limb/weight", LIMB_DARKENING_WEIGHT)], "darkening")
    third = graph.node("Mul", [darkening, graph.number("third", 1.0 / 3.0)], "darkening/third")
    return darkening, graph.node("Sub", [graph.number("one", 1.0), third], "rotation/norm")


def series_parts(graph: Graph, series: DiscSeries, wave: str, phi: str, names: list[str]) -> list[str]:
    """Sums of waves (``Cos`` or ``Sin`` of order x phi): disc and limb - disc, (n, places) each."""
    orders = graph.constant(f"{names[0]}/orders", series.orders[np.newaxis].astype(np.float32))
    waves = graph.node(wave, [graph.node("Mul", [phi, orders], f"{names[0]}/phases")], f"{names[0]}/waves")
    amplitudes = graph.constant(f"{names[0]}/amplitudes", np.concatenate([series.disc, series.difference], axis=1))
    both = graph.node("MatMul", [waves, amplitudes], f"{names[0]}/sums")
    return graph.split(both, [series.disc.shape[1]] * 2, names, axis=1)


def mixed(graph: Graph, disc: str, difference: str, darkening: str, norm: str, name: str) -> str:
    """(disc + darkening x difference) / norm."""
    darkened = graph.node("Mul", [darkening, difference], f"{name}/darkened")
    return graph.node("Div", [graph.node("Add", [disc, darkened], f"{name}/whole"), norm], name)


def _instrument(graph: Graph, network: ExactEmulatorNetwork, places: Rectangle, labels: str) -> Instrument:
    """Transfer beyond the sharpest instrument's, (n, places): exp(-2 pi^2 (sigma^2 - sharpest sigma^2) f^2)."""
    sharpest = network.broadening.sharpest
    if network.contract.instrument:
        resolution = graph.number("resolution", network.contract.instrument.resolution)
    else:
        resolution = _label(graph, network, labels, RESOLUTION)
    ratio = graph.node("Div", [graph.number("sharpest", sharpest), resolution], "ratio")
    squared = graph.node("Mul", [ratio, ratio], "ratio/squared")
    excess = graph.node("Sub", [squared, graph.number("unity", 1.0)], "excess")
    sigma = SPEED_OF_LIGHT / (sharpest * FWHM_PER_SIGMA)
    factors = -2.0 * np.pi**2 * sigma**2 * network.broadening.frequencies[places.number.ravel()] ** 2
    exponents = graph.constant("exponents", factors[np.newaxis].astype(np.float32))
    transfer = graph.node("Exp", [graph.node("Mul", [excess, exponents], "exponent")], "instrument")
    return Instrument(transfer, exponents, squared, resolution)
