"""Imported spectra on disk, a part at a time, so that memory stays bounded and a killed import goes on.

The state tells which spectra are done, in a part or failed; it is written after the part, so that others are read
again.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.shards import IntrinsicGrid, shard_name, write_provenance, write_shard
from stellar_emulator.system.files import new_file, read_json, write_file

BYTES = 48 * 2**20
"""Bytes of single-precision flux in one part; writing it takes some ten times as much memory."""

MOST_RUNS = 1024

STATE = "import.json"
"""File of the state in the output folder."""


def runs_in_part(pixels: int) -> int:
    """Spectra of one part."""
    return int(np.clip(BYTES // (4 * pixels), 1, MOST_RUNS))


@dataclass
class Batch:
    """Spectra of one part: run numbers (n,), labels (n, run labels), flux (n, pixels), limb darkening or None."""

    numbers: list[int] = field(default_factory=list)
    labels: list[NDArray[np.float64]] = field(default_factory=list)
    flux: list[NDArray[np.float32]] = field(default_factory=list)
    limb_darkening: list[float] = field(default_factory=list)


@dataclass
class State:
    """Progress of an import. plan: digest of everything that decides the result; next: first spectrum not done yet;
    parts: their SHA-256 by name; failed: reasons by the spectrum's key; lowest, highest: flux of what is done.
    """

    plan: str
    next: int = 0
    parts: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    lowest: float = float("inf")
    highest: float = float("-inf")
    done: bool = False


def plan_digest(decides: Any) -> str:
    """SHA-256 of what decides an import, any JSON."""
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def opened_state(output: Path, plan: str) -> State:
    """The state of an import in a folder, new if there is none. Raises `InputError` if it is another import's."""
    content = read_json(output / STATE)
    if content is None:
        return State(plan)
    if content.get("plan") != plan:
        raise InputError(
            f"{output} holds an import of other spectra or with other options: use another folder, or remove it"
        )
    return State(**content)


def save_state(output: Path, state: State) -> None:
    """Write the state atomically."""
    content = {name: getattr(state, name) for name in State.__dataclass_fields__}
    write_file(output / STATE, json.dumps(content, indent=1) + "\n")


def write_intrinsic_part(
    folder: Path, contract: Contract, seed: int, number: int, batch: Batch, provenance: dict[str, Any]
) -> str:
    """Write a batch as a shard of intrinsic spectra, and list it in the folder's provenance; return its name."""
    name = shard_name(number)
    darkening = np.array(batch.limb_darkening) if len(batch.limb_darkening) == len(batch.numbers) else None
    grid = IntrinsicGrid(
        np.array(batch.numbers, dtype=np.int64), np.stack(batch.labels), np.stack(batch.flux), limb_darkening=darkening
    )
    provenance["shards"][name] = write_shard(folder / name, contract, seed, grid, level=3)
    provenance["runs"] = batch.numbers[-1] + 1
    write_provenance(folder, provenance)
    return name


def write_part(folder: Path, number: int, batch: Batch) -> str:
    """Write a batch of spectra on their own pixels; return the part's name."""
    path = folder / f"part-{number:05d}.npz"
    with new_file(path) as partial, partial.open("wb") as stream:
        np.savez(stream, numbers=batch.numbers, labels=np.stack(batch.labels), flux=np.stack(batch.flux))
    return path.name


def read_parts(folder: Path, names: list[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]]:
    """Run numbers, labels and flux of each part, in order."""
    for name in names:
        with (folder / name).open("rb") as stream, np.load(stream) as part:
            yield part["numbers"].astype(np.int64), part["labels"], part["flux"]
