"""MLflow's signatures of models: input, output and params; the model itself checks bounds."""

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from stellar_emulator.contract.contract import Contract

ENCODINGS = ("json", "base64")
"""Encodings of numbers: JSON, or single precision as base64, which is a third as long and takes no time to read."""


def emulator_signature(contract: Contract) -> ModelSignature:
    """One double column for each label to flux (n, pixels); by default, params select the whole axis as JSON."""
    axis = contract.wavelength
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.double, name) for name in contract.label_names]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, axis.count), "flux")]),
        params=ParamSchema(
            [
                ParamSpec("encoding", DataType.string, ENCODINGS[0]),
                ParamSpec("wavelength_min", DataType.double, axis.start),
                ParamSpec("wavelength_max", DataType.double, axis.stop),
            ]
        ),
    )


def validator_signature(contract: Contract) -> ModelSignature:
    """Flux (n, pixels) to one double column for each label; the param ``noise`` is 0 unless it is given."""
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, contract.wavelength.count))]),
        outputs=Schema([ColSpec(DataType.double, name) for name in contract.label_names]),
        params=ParamSchema([ParamSpec("noise", DataType.double, 0.0)]),
    )
