"""Runs a network's graph: ONNX Runtime, and nothing else but NumPy."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

CHUNK_ROWS = 1024
"""Rows that pass through a network at once: more are no faster and only take memory."""


@dataclass(frozen=True)
class OnnxNetwork:
    """A network as ONNX Runtime runs it, without any check: float32 rows in, float32 rows of ``shape`` out."""

    session: onnxruntime.InferenceSession
    shape: tuple[int, ...]
    chunk_rows: int = CHUNK_ROWS

    def __call__(self, inputs: NDArray[np.floating]) -> NDArray[np.float32]:
        inputs = np.asarray(inputs, dtype=np.float32)
        if len(inputs) <= self.chunk_rows:
            return self._run(inputs)
        outputs = np.empty((len(inputs), *self.shape), dtype=np.float32)
        for start in range(0, len(inputs), self.chunk_rows):
            outputs[start : start + self.chunk_rows] = self._run(inputs[start : start + self.chunk_rows])
        return outputs

    def _run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        (outputs,) = self.session.run(None, {self.session.get_inputs()[0].name: inputs})
        return outputs  # type: ignore[no-any-return]


def open_network(graph: Path | bytes, *shape: int, chunk_rows: int = CHUNK_ROWS) -> OnnxNetwork:
    """Load a graph, a file or its bytes, whose rows of output have ``shape``."""
    options = onnxruntime.SessionOptions()
    # Waiting threads sleep: spinning gains a little latency and burns every core between two requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = _cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return OnnxNetwork(session, shape, chunk_rows)


def _cores() -> int:
    """Cores that this process may use, which on shared machines are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
