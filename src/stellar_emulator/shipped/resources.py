"""Finds the files that come with the package: data contracts, pairs of models, embedded grids, citations.

In a checkout this folder has links to them; a wheel holds copies of all but the grids.
"""

from importlib.resources import files
from pathlib import Path

CONTRACTS, PAIRS, GRIDS, CITATION = "contracts", "pairs", "grids", "CITATION.cff"

DEFAULT = "gaia_rvs"
"""Name of the contract and of the pair that are used if none is named."""

OBSERVED = DEFAULT
"""The same for observed spectra; other pairs of its networks serve spectra that cover less."""


def resource(*parts: str) -> Path:
    """Path of a shipped file or folder, whether it is there or not."""
    return Path(str(files(__package__))).joinpath(*parts)


def contract_names() -> list[str]:
    """Names of the data contracts that come with the package."""
    return sorted(path.stem for path in resource(CONTRACTS).glob("*.yaml") if "." not in path.stem)


def contract_file(name: str) -> Path:
    """File of a data contract that comes with the package."""
    return resource(CONTRACTS, f"{name}.yaml")


def physics_file(name: str) -> Path:
    """File of the physics error that was measured for a contract on stars, whether it is there or not."""
    return resource(CONTRACTS, f"{name}.physics.yaml")
