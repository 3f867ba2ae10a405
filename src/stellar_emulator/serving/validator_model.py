"""The registered validator: flux (n, pixels) to a table of labels, one named column each."""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from stellar_emulator.errors import InputError
from stellar_emulator.models.validator import Validator
from stellar_emulator.serving.answers import validator_answer


class ValidatorModel(PythonModel):
    """Answers from the artifact ``bundle``; the parameter ``noise`` is one pixel's standard deviation."""

    def load_context(self, context: PythonModelContext) -> None:
        self.validator = Validator.load(context.artifacts["bundle"])

    # MLflow reads the hint and knows only the bare array type; it gives a context if one is named.
    def predict(  # type: ignore[override]
        self, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        try:
            labels = validator_answer(self.validator, model_input, params or {})
        except InputError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        return pd.DataFrame(labels, columns=self.validator.contract.label_names)


set_model(ValidatorModel())
