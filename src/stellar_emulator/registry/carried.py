"""Code and requirements with which a registered model runs elsewhere: a copy of the package, and exact versions."""

import shutil
from importlib.metadata import distribution, version
from importlib.resources import files
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ("mlflow", "numpy", "onnxruntime", "pandas", "pydantic", "pyyaml")
"""Packages that the code of a registered model imports."""

_LEFT_OUT = {"shipped": {"contracts", "pairs", "grids", "CITATION.cff"}, "explorer": {"static"}}
"""Parts, by folder, that a served model does not need: it has its own contract and networks."""


def package_folder() -> Path:
    """Folder of this package's code."""
    return Path(str(files("stellar_emulator")))


def copied_code(scratch: Path) -> Path:
    """Copy the package's code under ``scratch``, without models, contracts and grids that ship with it."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {"__pycache__"} | _LEFT_OUT.get(Path(folder).name, set())

    return Path(shutil.copytree(package_folder(), scratch / "stellar_emulator", ignore=left_out))


def pins() -> list[str]:
    """Requirements of `PACKAGES` and of their dependencies, each pinned to the version that is installed here.

    An environment that is made for the model a year later therefore equals the one in which it was registered.
    """
    found: set[str] = set()
    coming = [Requirement(package) for package in PACKAGES]
    while coming:
        wanted = coming.pop()
        key = canonicalize_name(wanted.name)
        if key in found and not wanted.extras:
            continue
        found.add(key)
        for line in distribution(wanted.name).requires or ():
            asked = Requirement(line)
            if _applies(asked, wanted.extras) and (asked.extras or canonicalize_name(asked.name) not in found):
                coming.append(asked)
    return [f"{name}=={version(name)}" for name in sorted(found)]


def _applies(asked: Requirement, extras: set[str]) -> bool:
    return asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in ("", *extras))
