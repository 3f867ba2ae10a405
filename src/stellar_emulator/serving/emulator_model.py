"""The registered emulator: a table of labels, one named column each, to flux (n, pixels)."""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from stellar_emulator.bundle import load_emulator
from stellar_emulator.errors import InputError


class EmulatorModel(PythonModel):  # type: ignore[misc]
    """Answers from the artifact ``bundle``."""

    def load_context(self, context: PythonModelContext) -> None:
        self.emulator = load_emulator(context.artifacts["bundle"])

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        try:
            return self.emulator(model_input.to_numpy(), [str(name) for name in model_input.columns])
        except InputError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


set_model(EmulatorModel())
