"""What docs/python.md promises works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exact_network import random_network
from synthetic import GAIA, ROOT

from stellar_emulator import Emulator
from stellar_emulator.saved.bundle import save_emulator

PAGE = (ROOT / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

ALONE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first in {"stellar_emulator", "yaml", "pydantic", "scipy", "onnx", "astropy", "pandas", "mlflow"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    save_emulator(folder / "emulator", random_network(GAIA), GAIA, {})
    return folder


@pytest.mark.rounding
def test_numpy_and_onnx_runtime_alone_read_a_folder(folder: Path, tmp_path: Path) -> None:
    (block,) = (block for block in BLOCKS if "InferenceSession" in block)
    assert block.count("models/gaia_rvs/emulator") == 1
    code = ALONE + block.replace("models/gaia_rvs/emulator", str(folder / "emulator"))
    code += "np.savez('made.npz', flux=flux, wavelength=wavelength, stars=stars)\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with np.load(tmp_path / "made.npz") as made:
        np.testing.assert_allclose(made["flux"], Emulator.load(folder).flux(made["stars"]), atol=1e-6)
        np.testing.assert_allclose(made["wavelength"], GAIA.wavelength.pixels)


def test_the_ways_to_give_labels_work(folder: Path) -> None:
    first, second = BLOCKS[:2]
    names = {
        "table": dict(zip(GAIA.label_names, [[value] for value in GAIA.lower], strict=True)),
        "array": GAIA.lower[np.newaxis],
    }
    exec(first.replace("Emulator.load()", f"Emulator.load({str(folder)!r})") + second, names)
    flux = names["flux"]
    assert isinstance(flux, np.ndarray)
    assert flux.shape == (4000,)
