"""Loads registered models and answers their own input examples; run as a script, in a process that has nothing else.

    python -P fresh_process.py ANSWERS.npz NAME=MODEL_URI ...

Nothing of the package may be imported here: the models must bring their own copy of it.
"""

import sys

import mlflow
import numpy as np


def main(answers: str, *models: str) -> None:
    """Write each model's input example and its answer, as arrays, to an NPZ file."""
    arrays = {}
    for entry in models:
        name, _, uri = entry.partition("=")
        model = mlflow.pyfunc.load_model(uri)
        example = model.input_example
        arrays[f"{name}_example"], arrays[f"{name}_answer"] = np.asarray(example), np.asarray(model.predict(example))
    np.savez(answers, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
