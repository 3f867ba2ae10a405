"""The check that a loaded network still gives the outputs that it gave when it was saved, whatever runs it now."""

from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stellar_emulator.errors import SetupError
from stellar_emulator.saved.bundle import Bundle

Network = Callable[[NDArray[np.floating]], NDArray[np.float32]]


def require_same_answers(bundle: Bundle, network: Network, tolerance: float) -> None:
    """Compare a network's outputs with those that were saved beside it; it takes a few milliseconds.

    tolerance: relative to the largest output in each column, or to 1 if that is smaller; it is larger where the model
    amplifies rounding.

    Raises
    ------
    SetupError
        If they differ.
    """
    kept = bundle.fingerprint
    expected = kept["outputs"]
    allowed = tolerance * np.maximum(np.abs(expected).max(axis=0), 1.0)
    allowed = np.maximum(allowed, kept.get("rounding", 0.0))
    found = network(kept["inputs"])
    if not (np.abs(found - expected) <= allowed).all():
        raise SetupError(
            f"ONNX Runtime {onnxruntime.__version__} on this machine computes other answers from {bundle.graph} than "
            f"were saved with it (off by {np.abs(found - expected).max():.3g}): use another version of onnxruntime"
        )
