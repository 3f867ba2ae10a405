"""A set-up takes what the lock holds, whatever later releases the index has, and whichever pip does it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType

import pytest
from benchmarks.local_index import LATER, write_later_releases, write_source, write_wheel

from stellar_emulator.errors import SetupError
from stellar_emulator.grid.engines.synspec import parts

ROOT = Path(__file__).resolve().parents[2]

PIPS = {
    "23.0.1": "236bcb61156d76c4b8a05821b988c7b8c35bf0da28a4b614e8d6ab5212c25c6f",
    "23.2.1": "7ccf472345f20d35bdc9d1841ff5f313260c2c33fe417f48c30ac46cccabf5be",
    "24.2": "2cd581cf58ab7fcfca4ce8efa6dcacd0de5bf8d0a3eb9ec927e07405f4d9e2a2",
    "26.3": "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13",
}
"""Those of Debian 12, of Python 3.11.7 and 3.12.1, of 3.13.0, and the lock's own."""

if newest := os.environ.get("STELLAR_EMULATOR_NEWEST_PIP"):  # the weekly workflow asks for that day's
    PIPS[newest] = ""

TOO_OLD_FOR_312 = ("23.0.1",)

CONFUSED_BY_EXTRAS = ("23.0.1", "23.2.1")
"""Pips that look a pinned package up anew where somebody asks for it with an extra."""


@pytest.fixture(scope="session")
def pip_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pips, fetched by their hashes."""
    folder = tmp_path_factory.mktemp("pips")
    lines = [f"pip=={version}" + (f" --hash=sha256:{digest}" if digest else "") for version, digest in PIPS.items()]
    for number, line in enumerate(lines):  # one requirements file can't name two versions
        requirement = folder / f"{number}.txt"
        requirement.write_text(line + "\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), "-r", str(requirement)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{line.split()[0]} can't be fetched: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two packages and an extra's one, each with a later release; two locks stand beside it.

    ``complete.lock`` is as `make lock` writes it, ``stripped.lock`` as it was before: without the extra.
    """
    folder = tmp_path_factory.mktemp("index")
    wanted = {
        "asker": write_wheel(folder, "asker", "1.0", requires=["asked[more]>=1.0"])[1],
        "asked": write_wheel(folder, "asked", "1.0", requires=["extra-part; extra == 'more'"], extras=["more"])[1],
        "extra-part": write_wheel(folder, "extra-part", "1.0")[1],
    }
    write_later_releases(folder, list(wanted))
    write_wheel(folder, "asked", "2.0", requires=["extra-part; extra == 'more'"], extras=["more"])
    head = "--only-binary :all:\n"
    lines = {name: f"=={'1.0'} --hash=sha256:{digest}\n" for name, digest in wanted.items()}
    (folder / "stripped.lock").write_text(head + "".join(name + line for name, line in lines.items()))
    lines = {name + ("[more]" if name == "asked" else ""): line for name, line in lines.items()}
    (folder / "complete.lock").write_text(head + "".join(name + line for name, line in lines.items()))
    return folder


@pytest.fixture
def offline(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every installer see this index alone."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(index),
    }.items():
        monkeypatch.setenv(name, value)


def environment_with(pip: str, pip_wheels: Path, folder: Path) -> Path:
    """A virtual environment whose only package is one pip; returns its Python."""
    if pip in TOO_OLD_FOR_312 and sys.version_info >= (3, 12):
        pytest.skip(f"pip {pip} does not run on Python 3.12 and newer")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(pip_wheels / f"pip-{pip}-py3-none-any.whl") as wheel:
        wheel.extractall(packages)
    return folder / "bin" / "python"


def installed(python: Path) -> dict[str, str]:
    (packages,) = python.parents[1].glob("lib/python3*/site-packages")
    return {package.metadata["Name"]: package.version for package in distributions(path=[str(packages)])}


def start_in(checkout: Path, lock: Path) -> ModuleType:
    """start.py as a module of a checkout that has another lock."""
    checkout.mkdir()
    shutil.copy(ROOT / "start.py", checkout)
    shutil.copy(lock, checkout / "requirements.lock")
    spec = importlib.util.spec_from_file_location("start", checkout / "start.py")
    assert spec
    assert spec.loader
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    return start


@pytest.mark.parametrize("pip", PIPS)
@pytest.mark.parametrize("lock", ["complete", "stripped"])
@pytest.mark.usefixtures("offline")
def test_start_installs_the_lock_whatever_the_index_holds(
    lock: str, pip: str, index: Path, pip_wheels: Path, tmp_path: Path
) -> None:
    start = start_in(tmp_path / "a checkout", index / f"{lock}.lock")
    environment_with(pip, pip_wheels, start.ENVIRONMENT)
    with start.LOCK.open("rb") as held:
        start.install(start.LOCK, held.fileno())
        start.run_step([*start.PIP, "check"], held.fileno())
    found = installed(start.PYTHON)
    assert found == {"asker": "1.0", "asked": "1.0", "extra-part": "1.0", "pip": pip}


@pytest.mark.parametrize("pip", PIPS)
@pytest.mark.usefixtures("offline")
def test_the_lock_can_be_resolved_as_conda_does(pip: str, index: Path, pip_wheels: Path, tmp_path: Path) -> None:
    python = environment_with(pip, pip_wheels, tmp_path / "environment")
    subprocess.run([python, "-m", "pip", "install", "-U", "-r", index / "complete.lock"], check=True)
    assert installed(python) == {"asker": "1.0", "asked": "1.0", "extra-part": "1.0", "pip": pip}


@pytest.mark.parametrize("pip", CONFUSED_BY_EXTRAS)
@pytest.mark.usefixtures("offline")
def test_resolving_a_lock_without_extras_broke(pip: str, index: Path, pip_wheels: Path, tmp_path: Path) -> None:
    """The control: how environments were set up before, and why that failed on a day with a new release."""
    python = environment_with(pip, pip_wheels, tmp_path / "environment")
    command = [str(python), "-m", "pip", "install", "--require-hashes", "-r", str(index / "stripped.lock")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "asked" in done.stderr
    assert "--require-hashes" in done.stderr


@pytest.mark.usefixtures("offline")
def test_uv_takes_the_lock_too(index: Path, tmp_path: Path) -> None:
    uv = [sys.executable, "-m", "uv"]
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True)
    subprocess.run([*uv, "pip", "install", "--python", python, "-r", index / "complete.lock"], check=True)
    listed = subprocess.run([*uv, "pip", "freeze", "--python", python], capture_output=True, text=True, check=True)
    assert sorted(listed.stdout.split()) == ["asked==1.0", "asker==1.0", "extra-part==1.0"]


@pytest.mark.usefixtures("offline")
def test_a_changed_archive_is_refused(index: Path, pip_wheels: Path, tmp_path: Path) -> None:
    lock = (index / "complete.lock").read_text()
    digest = re.findall("sha256:([0-9a-f]{64})", lock)[-1]
    (tmp_path / "wrong.lock").write_text(lock.replace(digest, digest[::-1]))
    start = start_in(tmp_path / "checkout", tmp_path / "wrong.lock")
    environment_with("26.3", pip_wheels, start.ENVIRONMENT)
    with start.LOCK.open("rb") as held, pytest.raises(start.RefusalError, match="the set-up failed"):
        start.install(start.LOCK, held.fileno())
    assert not start.is_current(start.LOCK)


def test_later_releases_are_later(index: Path) -> None:
    assert len(list(index.glob(f"*-{LATER}-*.whl"))) == 3


SETUP = """
from setuptools import setup
setup(name="part", version="1.0", setup_requires=["setuptools_scm"])
"""
"""Of a part of the synthesis: it asks for a package that builds it, as they all do."""


def test_a_part_of_the_synthesis_is_fetched_from_an_index_that_has_nothing_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, digest = write_source(tmp_path, "part", "1.0", SETUP)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STELLAR_EMULATOR_CACHE", str(tmp_path / "cache"))
    folder = parts.fetch(parts.Part("part", "1.0", archive.name, digest, "a test"))
    assert (folder / "setup.py").read_text() == SETUP
    with pytest.raises(SetupError, match=r"could not download part==1\.1 with pip: ERROR"):
        parts.fetch(parts.Part("part", "1.1", "part-1.1.tar.gz", digest, "a test"))
