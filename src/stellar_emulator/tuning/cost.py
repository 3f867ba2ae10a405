"""The cost of one spectrum from a trained network."""

import time
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx

REPEATS = 60
"""Number of spectra that are timed; the fastest counts, since other load on the machine can only slow one down."""


@dataclass(frozen=True)
class Cost:
    """Cost of one spectrum, broadening included, in multiply-adds and in milliseconds if computed alone."""

    multiply_adds: int
    milliseconds: float


def measure_cost(network: EmulatorNetwork | ExactEmulatorNetwork, labels: NDArray[np.float64]) -> Cost:
    """Cost of the spectrum of one star, labels (1, labels), by ONNX Runtime on one core, as users generate it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    graph = emulator_onnx(network).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: labels.astype(np.float32)}
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        session.run(None, given)
        seconds.append(time.perf_counter() - start)
    return Cost(network.multiply_adds, 1000.0 * min(seconds))
