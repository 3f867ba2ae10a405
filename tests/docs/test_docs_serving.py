"""What docs/serving.md shows as an answer is that of the champion that comes with the package."""

import json
import re

import numpy as np
import pytest
from synthetic import ROOT

from stellar_emulator import Emulator

PAGE = (ROOT / "docs" / "serving.md").read_text()


def test_the_example_s_answer_is_the_champion_s() -> None:
    found = re.search(r"-d '(\{.*?\}\})'\n# (\{.*?\})\n", PAGE, re.DOTALL)
    assert found is not None
    asked, answer = (json.loads(text) for text in found.groups())
    emulator = Emulator.load()
    (labels,) = asked["dataframe_records"]
    pixels = emulator.contract.wavelength.pixels
    # Of the axis 8542.3 is a little less or more in double precision.
    first, last = asked["params"]["wavelength_min"] - 1e-6, asked["params"]["wavelength_max"] + 1e-6
    row = np.array([[labels[name] for name in emulator.contract.label_names]])
    made = emulator.flux(row)[0][(pixels >= first) & (pixels <= last)]
    assert answer["predictions"] == [pytest.approx(made.tolist(), abs=1e-5)]
