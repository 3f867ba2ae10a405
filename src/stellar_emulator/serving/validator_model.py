"""The registered validator: flux (n, pixels) to a table of labels, one named column each."""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
if (FOLDER / "MLmodel").is_file():  # registered: its code is imported once all its files were looked at, not before
    guard: dict[str, Any] = {"__name__": "own_files"}
    exec((FOLDER / "own_files.py").read_text(), guard)
    guard["before_import"](FOLDER, globals()["__spec__"].cached)

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import set_model  # noqa: E402
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE  # noqa: E402
from mlflow.pyfunc import PythonModel, PythonModelContext  # noqa: E402

from stellar_emulator.errors import InputError  # noqa: E402
from stellar_emulator.models.validator import Validator  # noqa: E402
from stellar_emulator.serving.answers import validator_answer  # noqa: E402


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
