"""The compact form of a grid that a repository can keep: principal components, and shards of runs' coefficients.

Components are those of the first shard's runs, and stay: what they miss of others is in those runs' corrections.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import Broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import shards
from stellar_emulator.grid.corrections import seen
from stellar_emulator.grid.principal import components_of, write_components
from stellar_emulator.grid.reduced import reduced, sharpest_view
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.system.lock import locked, make_folder

TOLERANCE = 5e-4
"""Largest loss allowed in broadened flux, normalised: at the contract's sharpest, and so in every draw."""

_OF_THE_WHOLE = ("runs", "failed", "shards")
"""What the compact grid's provenance says for itself; all else is that of the grid it was made from."""


@dataclass(frozen=True)
class Compacted:
    """The compact grid after a call of `compact`, and what that lost.

    bytes_a_run: without components, whose size ``component_bytes`` is; largest_loss: in broadened flux of any run that
    was added, normalised.
    """

    runs: int
    components: int
    component_bytes: int
    bytes_a_run: float
    largest_loss: float

    @property
    def summary(self) -> str:
        """One line."""
        return (
            f"{self.runs} runs of {self.bytes_a_run:.0f} bytes, and {self.component_bytes / 1e6:.1f} MB of "
            f"{self.components} components; largest loss of those added in broadened flux {self.largest_loss:.1e}"
        )


def compact(source: Path, contract: Contract, target: Path) -> Compacted:
    """Append those full shards of a synthesised grid that its compact form in ``target`` lacks.

    Shards that ``target`` has stay as they are. A shard is appended whole or, where the call is killed, not at all.

    Raises
    ------
    InputError
        If either folder is damaged or in use, ``target`` is of another grid, or spectra are unlike the first shard's.
    """
    provenance = shards.read_provenance(source)
    whole = _count(provenance) // shards.SHARD_RUNS
    make_folder(target)
    loss = 0.0
    with locked(target):
        kept = _opened(provenance, target)
        for number in range(_count(kept) // shards.SHARD_RUNS, whole):
            loss = max(loss, _append(source, contract, target, number, provenance, kept))
        components = shards.known_components(target, kept)
    sizes = {path.name: path.stat().st_size for path in target.glob("*.parquet")}
    shapes, runs = sizes.pop(shards.COMPONENTS, 0), _count(kept)
    return Compacted(runs, len(components or ()), shapes, sum(sizes.values()) / max(runs, 1), loss)


def carry_on(target: Path, source: Path) -> None:
    """Let a folder without runs continue the compact grid in ``target``, whose whole spectra are elsewhere or gone.

    A folder of runs stays as it is, and so does everything where there is no compact grid.
    """
    if (source / shards.PROVENANCE).exists() or not (target / shards.PROVENANCE).exists():
        return
    kept = shards.read_provenance(target)
    make_folder(source)
    shards.write_provenance(
        source, {**{name: value for name, value in kept.items() if name != "largest_loss"}, "shards": {}}
    )


def _opened(provenance: dict[str, object], target: Path) -> dict[str, object]:
    given = {name: value for name, value in provenance.items() if name not in _OF_THE_WHOLE}
    if not (target / shards.PROVENANCE).exists():
        return {**given, "runs": 0, "failed": {}, "shards": {}}
    kept = shards.read_provenance(target)
    for name, value in given.items():
        if name not in ("syntheses", "known_limits") and kept.get(name) != value:
            raise InputError(f"{target} holds a grid with {name} {kept.get(name)}, {value} is to be added: use another")
    return {**kept, "syntheses": given.get("syntheses", [])}


def _count(provenance: dict[str, object]) -> int:
    return int(str(provenance["runs"]))


def _append(
    source: Path,
    contract: Contract,
    target: Path,
    number: int,
    provenance: dict[str, object],
    kept: dict[str, object],
) -> float:
    """Add one shard, the first with the components; return its largest loss."""
    name = shards.shard_name(number)
    shards.check_digest(source / name, provenance)
    grid = shards.read_shard(source / name, contract)
    digests = dict(kept["shards"])  # type: ignore[call-overload]
    known = shards.known_components(target, kept)
    view = sharpest_view(contract)
    components = known or components_of(grid.flux, view)
    runs = reduced(grid.flux, components, view)
    loss = _loss(grid, runs.flux(components), view)
    if known is None:
        write_components(target / shards.COMPONENTS, components)
        digests[shards.COMPONENTS] = shards.file_digest(target / shards.COMPONENTS)
    digests[name] = shards.write_shard(target / name, contract, int(str(provenance["seed"])), grid, runs)
    first, stop = number * shards.SHARD_RUNS, (number + 1) * shards.SHARD_RUNS
    failed = {run: why for run, why in dict(provenance["failed"]).items() if first <= int(run) < stop}  # type: ignore[call-overload]
    kept.update(shards=digests, failed={**dict(kept["failed"]), **failed}, runs=stop)  # type: ignore[call-overload]
    kept["largest_loss"] = round(max(loss, float(str(kept.get("largest_loss", 0.0)))), 7)
    shards.write_provenance(target, kept)
    return loss


def _loss(grid: IntrinsicGrid, kept: NDArray[np.float32], view: Broadening) -> float:
    """Largest difference that any run shows."""
    differences = np.abs(seen(grid.flux - kept, view)).max(axis=1)
    worst = int(differences.argmax())
    if not differences[worst] <= TOLERANCE:
        raise InputError(
            f"run {grid.run_id[worst]} would lose {differences[worst]:.1e} of its broadened flux, at most "
            f"{TOLERANCE:g} is allowed: keep the spectra as they are"
        )
    return float(differences[worst])
