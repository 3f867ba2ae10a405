"""Merges imported folders of intrinsic spectra whose contracts agree into one, with the provenance of each part."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.expand import limb_darkening
from stellar_emulator.grid.importing.draft import Draft, drafted
from stellar_emulator.grid.importing.parts import runs_in_part
from stellar_emulator.grid.importing.plan import Axes
from stellar_emulator.grid.shards import (
    PROVENANCE,
    IntrinsicGrid,
    check_digest,
    read_provenance,
    read_shard,
    shard_digests,
    shard_name,
    write_provenance,
    write_shard,
)
from stellar_emulator.grid.source import INTRINSIC
from stellar_emulator.system.files import new_folder, write_file
from stellar_emulator.version import VERSION

CONTRACT = "contract.yaml"


def is_imported(folder: Path) -> bool:
    """Whether a folder holds intrinsic spectra with their contract, as an import leaves it."""
    return (folder / CONTRACT).is_file() and (folder / INTRINSIC / PROVENANCE).is_file()


def merge(sources: Sequence[Path], name: str | None, command: str, output: Path) -> tuple[Contract, int]:
    """Write the runs of several folders to ``output``; return the contract drafted for all of them and their number.

    Runs are numbered anew, folder by folder; ``provenance.json`` keeps each folder's own as one of its ``parts``, with
    the numbers of its runs here.

    Raises
    ------
    InputError
        If labels, axes, resolution or medium of the contracts differ, a shard is damaged, or two runs have the same
        labels.
    """
    contracts = [read_contract(source / CONTRACT) for source in sources]
    for source, contract in zip(sources[1:], contracts[1:], strict=True):
        _require_same(sources[0], contracts[0], source, contract)
    labels = [_labels(source, contract) for source, contract in zip(sources, contracts, strict=True)]
    nodes = np.concatenate(labels)
    _require_apart(sources, labels)
    first = contracts[0]
    merged = _drafted(first, contracts, nodes, name or first.name)
    provenance: dict[str, Any] = {
        "contract": merged.name,
        "seed": merged.sampling.seed,
        "engine": "merge of imports",
        "command": command,
        "package_version": VERSION,
        "runs": len(nodes),
        "shards": {},
        "failed": {},
        "known_limits": [],
        "parts": [],
    }
    output.mkdir(parents=True, exist_ok=True)
    with new_folder(output / INTRINSIC) as folder:
        start = 0
        for source, contract, own in zip(sources, contracts, labels, strict=True):
            part = {
                "first_run": start,
                "last_run": start + len(own) - 1,
                "provenance": read_provenance(source / INTRINSIC),
            }
            provenance["parts"].append(part)
            start = _copied(source, contract, merged, folder, provenance, start)
        write_provenance(folder, provenance)
    write_file(output / CONTRACT, merged.source)
    return merged, len(nodes)


def _require_same(one: Path, first: Contract, other: Path, contract: Contract) -> None:
    for source, own in ((one, first), (other, contract)):
        if own.departures is not None:
            raise InputError(
                f"{source} can't be merged with departures {own.departures}: leave that field out of its contract, and "
                "give it to the merged one"
            )
    told: dict[str, tuple[object, object]] = {
        "labels of the run": (_names(first), _names(contract)),
        "broadening labels": (_broadening(first), _broadening(contract)),
        "intrinsic axes": (first.intrinsic, contract.intrinsic),
        "wavelength axes": (first.wavelength, contract.wavelength),
    }
    for what, (mine, theirs) in told.items():
        if mine != theirs:
            raise InputError(
                f"{one} and {other} can't be merged: their {what} differ ({_short(mine)}; {_short(theirs)}): import "
                "both with the same --range and --resolution"
            )


def _names(contract: Contract) -> list[str]:
    return [label.name for label in contract.run_labels]


def _broadening(contract: Contract) -> list[tuple[str, float, float]]:
    return [(label.name, label.lower, label.upper) for label in contract.broadening_labels]


def _short(value: object) -> str:
    return " ".join(str(value).split())[:120]


def _labels(source: Path, contract: Contract) -> NDArray[np.float64]:
    """Labels of all runs of a folder, without keeping their flux."""
    folder = source / INTRINSIC
    provenance = read_provenance(folder)
    found = []
    for name in shard_digests(folder):
        check_digest(folder / name, provenance)
        found.append(read_shard(folder / name, contract).labels)
    if not found:
        raise InputError(f"{folder} holds no shard: import it again")
    return np.concatenate(found)


def _require_apart(sources: Sequence[Path], labels: Sequence[NDArray[np.float64]]) -> None:
    seen: dict[tuple[float, ...], Path] = {}
    for source, own in zip(sources, labels, strict=True):
        for place in map(tuple, own.tolist()):
            if place in seen:
                raise InputError(f"{seen[place]} and {source} both hold a run at {place}: leave one of them out")
            seen[place] = source


def _drafted(first: Contract, contracts: Sequence[Contract], nodes: NDArray[np.float64], name: str) -> Contract:
    broadening = {label.role: label for label in first.broadening_labels}
    resolution, rotation = broadening.get("resolution"), broadening.get("vsini")
    axes = Axes(
        first.wavelength,
        first.intrinsic,
        None if resolution is None else (resolution.lower, resolution.upper),
        None if rotation is None else rotation.upper,
    )
    flux = (min(one.flux.lower for one in contracts), max(one.flux.upper for one in contracts))
    draft = Draft(
        name,
        "Intrinsic spectra of several imports, merged.",
        [label.name for label in first.run_labels],
        nodes,
        axes,
        flux,
        None,  # every run has its own
        [f"merged from {len(contracts)} imports, whose provenance is in {INTRINSIC}/{PROVENANCE}"],
    )
    return parse_contract(drafted(draft), "the drafted contract")


def _copied(
    source: Path, contract: Contract, merged: Contract, folder: Path, provenance: dict[str, Any], start: int
) -> int:
    """Write a folder's runs, numbered from ``start``, a shard at a time; return the next number."""
    assert merged.intrinsic is not None
    most = runs_in_part(len(merged.intrinsic.wavelength))
    for name in shard_digests(source / INTRINSIC):
        grid = read_shard(source / INTRINSIC / name, contract)
        grid = replace(grid, limb_darkening=limb_darkening(contract, grid))
        for first in range(0, len(grid.run_id), most):
            part = grid.take(np.arange(first, min(first + most, len(grid.run_id))))
            numbered = IntrinsicGrid(
                np.arange(start, start + len(part.run_id)), part.labels, part.flux, limb_darkening=part.limb_darkening
            )
            written = shard_name(len(provenance["shards"]))
            digest = write_shard(folder / written, merged, merged.sampling.seed, numbered, level=3)
            provenance["shards"][written] = digest
            start += len(part.run_id)
    return start
