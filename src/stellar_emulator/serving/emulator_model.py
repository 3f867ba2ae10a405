"""The registered emulator: a table of labels, one named column each, to flux (n, pixels) or the same as base64."""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
if (FOLDER / "MLmodel").is_file():  # registered: its code is imported once all its files were looked at, not before
    guard: dict[str, Any] = {"__name__": "own_files"}
    exec((FOLDER / "own_files.py").read_text(), guard)
    guard["before_import"](FOLDER, globals()["__spec__"].cached)

import pandas as pd  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import set_model  # noqa: E402
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE  # noqa: E402
from mlflow.pyfunc import PythonModel, PythonModelContext  # noqa: E402

from stellar_emulator.errors import InputError  # noqa: E402
from stellar_emulator.models.emulator import Emulator  # noqa: E402
from stellar_emulator.serving.answers import emulator_answer  # noqa: E402


class EmulatorModel(PythonModel):
    """Answers from the artifact ``bundle``; for the params see `emulator_answer`."""

    def load_context(self, context: PythonModelContext) -> None:
        self.emulator = Emulator.load(context.artifacts["bundle"])

    # MLflow reads the hints, and knows no type for an answer of one of two kinds; it gives a context if one is named.
    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:  # type: ignore[override]
        names = [str(name) for name in model_input.columns]
        try:
            return emulator_answer(self.emulator, names, model_input.to_numpy(), params or {}).plain()
        except InputError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


set_model(EmulatorModel())
