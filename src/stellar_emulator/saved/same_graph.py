"""The comparison of two graphs of one model whose constants may have been prepared on different machines."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork, ValidatorNetwork
from stellar_emulator.networks.onnx.synthesis import WEIGHTS

if TYPE_CHECKING:
    import onnx

ROUNDING = 2.0**-21
"""Largest difference of two constants, relative to the largest one of their tensor. Each is rounded once to single
precision, from values in double precision whose last bits depend on the processor's vector units."""

RESPONSE = 2.0**-18
"""Largest difference of what two sets of synthesis weights make of one Fourier mode of unit amplitude, as far as the
instrument passes it. The weights solve ill-conditioned equations: BLAS kernels and numbers of threads change them by
4e-4, and this response by 1.3e-6, which is the rounding of the transform itself."""


def same_graph(
    made: "onnx.ModelProto",
    given: "onnx.ModelProto",
    network: EmulatorNetwork | ExactEmulatorNetwork | ValidatorNetwork,
) -> bool:
    """Tell whether two graphs have the same nodes, shapes and integers, and constants that agree to rounding.

    made: the graph that the layers of ``network`` make here; given: the one to compare with it.
    """
    if _without_constants(made) != _without_constants(given):
        return False
    for ours, theirs in zip(made.graph.initializer, given.graph.initializer, strict=True):
        if ours.raw_data == theirs.raw_data:
            continue
        if len(ours.raw_data) != len(theirs.raw_data) or not _is_single(ours):
            return False
        if not _agree(ours.name, _values(ours), _values(theirs), network):
            return False
    return True


def _agree(
    name: str,
    ours: NDArray[np.float32],
    theirs: NDArray[np.float32],
    network: EmulatorNetwork | ExactEmulatorNetwork | ValidatorNetwork,
) -> bool:
    if name == WEIGHTS and isinstance(network, ExactEmulatorNetwork):
        passed = network.broadening.response / network.broadening.response.max()
        change = np.abs(_response(network, theirs) - _response(network, ours))
        return bool((change * np.tile(passed, 2)[:, np.newaxis] <= RESPONSE).all())
    return bool((np.abs(ours - theirs) <= ROUNDING * np.abs(ours).max()).all())


def _response(network: ExactEmulatorNetwork, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flux of each mode alone, shape (2 modes, pixels): a sum of modes is linear, so nothing else can differ."""
    total = replace(network.broadening.synthesis, weights=weights.transpose(0, 2, 1))
    return total(np.eye(2 * total.modes, dtype=np.float32))


def _without_constants(model: "onnx.ModelProto") -> bytes:
    """Everything but the content of tensors in single precision, external or unknown fields included."""
    import onnx

    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    # The version that wrote a graph does not affect its answers.
    rest.ClearField("producer_version")
    for tensor in rest.graph.initializer:
        if _is_single(tensor):
            tensor.ClearField("raw_data")
    content: bytes = rest.SerializeToString(deterministic=True)
    return content


def _is_single(tensor: "onnx.TensorProto") -> bool:
    import onnx

    return tensor.data_type == onnx.TensorProto.FLOAT


def _values(tensor: "onnx.TensorProto") -> NDArray[np.float32]:
    return np.frombuffer(tensor.raw_data, dtype="<f4").reshape(tuple(tensor.dims))
