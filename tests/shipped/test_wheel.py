"""The wheel alone, in a folder of its own, without any of the packages that extras bring."""

import csv
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

OPTIONAL = sorted(
    {Requirement(line).name for lines in PROJECT["optional-dependencies"].values() for line in lines}
    - {"stellar-emulator", "pip", "setuptools", "setuptools-scm", "tensorflow-cpu"}
)
MODULES = {"great-expectations": "great_expectations", "keras-tuner": "keras_tuner", "scikit-learn": "sklearn"}

BLOCKER = """
import importlib.util
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] in BLOCKED else found(name, *rest)
"""
"""A sitecustomize that lets nothing optional be imported, whatever is installed."""

SUN = ["--teff", "5777", "--logg", "4.44", "--vsini", "2", "--m_h", "0", "--vmicro", "1", "--resolution", "11500"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel, as pip would lay it, and the blocker."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    blocked = [MODULES.get(name, name.replace("-", "_")) for name in OPTIONAL]
    (folder / "sitecustomize.py").write_text(f"BLOCKED = {blocked!r}\n{BLOCKER}")
    return folder


def environment(site: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    return {**kept, "PYTHONPATH": str(site)}


def run(site: Path, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from stellar_emulator.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=place, env=environment(site), capture_output=True, text=True, check=False)


def test_the_wheel_is_whole_and_light(site: Path) -> None:
    (wheel,) = site.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "stellar_emulator/shipped/contracts/gaia_rvs.yaml" in names
    assert "stellar_emulator/shipped/pairs/gaia_dr3_rvs/validator/model.onnx" in names
    assert "stellar_emulator/shipped/CITATION.cff" in names
    assert not [name for name in names if "/grids/" in name or name.endswith(".parquet")]
    assert wheel.stat().st_size < 18e6


def test_spectra_are_generated_and_read_back(site: Path, tmp_path: Path) -> None:
    for words in (
        ["generate", *SUN, "--output", "sun.fits"],
        ["infer", "sun.fits", "--output", "inferred.csv"],
        ["fit", "sun.fits", "--output", "fitted.csv"],
        ["precision", *SUN, "--snr", "100"],
    ):
        done = run(site, tmp_path, *words)
        assert done.returncode == 0, done.stderr
    for name in ("inferred.csv", "fitted.csv"):
        with (tmp_path / name).open(newline="") as table:
            (row,) = csv.DictReader(table)
        assert abs(float(row["teff"]) - 5777.0) < 30.0
    assert {path.name for path in tmp_path.iterdir()} == {"sun.fits", "inferred.csv", "fitted.csv"}


def test_both_classes_load(site: Path, tmp_path: Path) -> None:
    code = (
        "import json, stellar_emulator; from stellar_emulator import Emulator, Validator\n"
        "flux = Emulator.load('gaia_dr3_rvs')(teff=5777, logg=4.44, vsini=2, m_h=0, vmicro=1)\n"
        "flux = Emulator.load()(teff=5777, logg=4.44, vsini=2, m_h=0, vmicro=1, resolution=11500)\n"
        "labels = Validator.load().labels(flux[None])\n"
        "print(json.dumps([float(labels[0, 0]), stellar_emulator.__file__]))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment(site), capture_output=True, text=True, check=True)
    teff, file = json.loads(done.stdout)
    assert abs(teff - 5777.0) < 200.0
    assert Path(file).is_relative_to(site)


def test_the_explorer_answers(site: Path, tmp_path: Path) -> None:
    code = "import sys; from stellar_emulator.cli import main; sys.exit(main())"
    command = [sys.executable, "-u", "-c", code, "explore", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(site), stdout=subprocess.PIPE, text=True) as explorer:
        assert explorer.stdout
        try:
            address = re.search(r"http://\S+", explorer.stdout.readline())
            assert address
            for _ in range(100):
                try:
                    page = urllib.request.urlopen(address[0], timeout=10).read().decode()
                    break
                except OSError:
                    time.sleep(0.1)
            assert "<html" in page
        finally:
            explorer.terminate()


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["train"], "train"),
        (["tune"], "train"),
        (["evaluate"], "train"),
        (["validate"], "validation"),
        (["promote"], "validation"),
        (["serve"], "registry"),
        (["history"], "registry"),
        (["generate", "champion", *SUN, "--output", "sun.fits"], "registry"),
        (["synthesize"], "synthesis"),
        (["generate", "--labels", "stars.csv", "--output", "stars.fits"], "tables"),
        (["generate", *SUN, "--output", "sun.parquet"], "tables"),
        (["generate", *SUN, "--output", "sun.png"], "figures"),
    ],
)
def test_a_verb_that_lacks_its_extra_names_it(words: list[str], extra: str, site: Path, tmp_path: Path) -> None:
    (tmp_path / "stars.csv").write_text("teff\n5777\n")
    done = run(site, tmp_path, *words)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert re.search(r"the Python package (mlflow|pyarrow|matplotlib|distributed) is missing", line)
    assert f"pip install 'stellar-emulator[{extra}]'" in line
    assert {path.name for path in tmp_path.iterdir()} == {"stars.csv"}
