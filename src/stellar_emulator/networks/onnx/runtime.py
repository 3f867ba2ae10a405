"""Runs a network's graph with ONNX Runtime and NumPy only."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stellar_emulator.system.cores import cores

CHUNK_ROWS = 64
"""Rows that pass through a network at once: the values between its layers then stay in the core's cache."""


@dataclass(frozen=True)
class OnnxNetwork:
    """A network that ONNX Runtime runs without checks: it takes float32 rows and returns float32 rows of ``shape``."""

    session: onnxruntime.InferenceSession
    shape: tuple[int, ...]

    def __call__(self, inputs: NDArray[np.floating]) -> NDArray[np.float32]:
        inputs = np.asarray(inputs, dtype=np.float32)
        if len(inputs) <= CHUNK_ROWS:
            return self._run(inputs)
        outputs = np.empty((len(inputs), *self.shape), dtype=np.float32)

        def fill(start: int) -> None:
            outputs[start : start + CHUNK_ROWS] = self._run(inputs[start : start + CHUNK_ROWS])

        # These threads end with the call: threads of a permanent pool would be missing after a fork.
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(fill, range(0, len(inputs), CHUNK_ROWS)))
        return outputs

    def at_once(self, inputs: NDArray[np.floating]) -> NDArray[np.float32]:
        """Output of all rows in one piece, whatever axis the rows are."""
        return self._run(np.asarray(inputs, dtype=np.float32))

    def _run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        (outputs,) = self.session.run(None, {self.session.get_inputs()[0].name: inputs})
        return outputs  # type: ignore[no-any-return]


def open_network(graph: Path | bytes, *shape: int) -> OnnxNetwork:
    """Load a graph, a file or its bytes, whose rows of output have ``shape``."""
    options = onnxruntime.SessionOptions()
    # Each run has one thread: networks are small, and cores that work on rows of their own never wait for each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return OnnxNetwork(session, shape)
