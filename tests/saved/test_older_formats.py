"""Folders as earlier versions wrote them are still read: tests/data/format_2 to format_4, by code of their time.

``answers.npz`` holds labels (3, 3), the flux (3, 40) that the emulator then gave, and the labels inferred from it.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stellar_emulator import Emulator, Validator
from stellar_emulator.errors import InputError
from stellar_emulator.models.emulator import FLUX_TOLERANCE
from stellar_emulator.models.validator import LABEL_TOLERANCE
from stellar_emulator.saved import bundle
from stellar_emulator.saved.rebuilt import require_graph_of_weights

DATA = Path(__file__).parents[1] / "data"
FORMATS = range(bundle.OLDEST_FORMAT, bundle.FORMAT + 1)
WRITTEN_BY = {2: "0.1.0", 3: "0.1.0", 4: "0.2.0"}


@pytest.mark.parametrize("number", FORMATS)
def test_a_folder_of_each_format_answers_as_it_did(number: int) -> None:
    folder = DATA / f"format_{number}"
    emulator, validator = Emulator.load(folder / "emulator"), Validator.load(folder / "validator")
    for model in (emulator, validator):
        require_graph_of_weights(model.bundle)
        assert model.bundle.description["format"] == number
        assert model.bundle.description["package"]["version"] == WRITTEN_BY[number]
    with np.load(folder / "answers.npz") as kept:
        np.testing.assert_allclose(emulator(kept["labels"]), kept["flux"], rtol=0.0, atol=FLUX_TOLERANCE)
        scale = np.abs(kept["inferred"]).max()
        np.testing.assert_allclose(validator(kept["flux"]), kept["inferred"], rtol=0.0, atol=LABEL_TOLERANCE * scale)


@pytest.mark.parametrize("number", [FORMATS[0] - 1, FORMATS[-1] + 1])
@pytest.mark.parametrize("model", [Emulator, Validator])
def test_a_folder_that_states_another_format_is_refused(
    model: type[Emulator | Validator], number: int, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DATA / f"format_{bundle.FORMAT}" / model.__name__.lower(), folder)
    description = json.loads((folder / "model.json").read_text())
    del description["digest"]
    description["format"] = number
    (folder / "model.json").write_text(json.dumps({**description, "digest": bundle._digest(description)}))
    with pytest.raises(InputError, match=f"has format {number}, written by stellar-emulator .*; .* reads formats"):
        model.load(folder)
