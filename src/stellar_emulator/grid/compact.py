"""The compact form of a grid that a repository can keep: shards of principal components' coefficients, append-only."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import shards
from stellar_emulator.grid.engines.intrinsic import require_intrinsic_axis
from stellar_emulator.grid.principal import Components, compressed, losses, none_of, write_components
from stellar_emulator.system.lock import locked, make_folder

_OF_THE_WHOLE = ("runs", "failed", "shards")
"""What the compact grid's provenance says for itself; all else is that of the grid it was made from."""


@dataclass(frozen=True)
class Compacted:
    """What a call of `compact` added. largest_loss: at any broadened pixel of any run, normalised flux."""

    runs: int
    components: int
    bytes_a_run: float
    largest_loss: float

    @property
    def summary(self) -> str:
        """One line."""
        return (
            f"{self.runs} runs, {self.components} components, {self.bytes_a_run:.0f} bytes a run, components included; "
            f"largest loss of these at a broadened pixel {self.largest_loss:.1e}"
        )


def compact(source: Path, contract: Contract, target: Path) -> Compacted:
    """Append those full shards of a synthesised grid that its compact form in ``target`` lacks.

    Shards that ``target`` has stay as they are. A shard is appended whole or, where the call is killed, not at all.

    Raises
    ------
    InputError
        If either folder is damaged or in use, ``target`` is of another grid, or a spectrum needs too many components.
    """
    provenance = shards.read_provenance(source)
    whole = _count(provenance) // shards.SHARD_RUNS
    make_folder(target)
    loss = 0.0
    with locked(target):
        kept = _opened(provenance, target)
        for number in range(_count(kept) // shards.SHARD_RUNS, whole):
            loss = max(loss, _append(source, contract, target, number, provenance, kept))
        components = shards.read_all_components(target, kept)
    size = sum(path.stat().st_size for path in target.glob("*.parquet"))
    runs = _count(kept)
    return Compacted(runs, len(components or ()), size / max(runs, 1), loss)


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
    """Add one shard with the components that it needs; return its largest loss."""
    name, convolve = shards.shard_name(number), contract_broadening(contract)
    shards.check_digest(source / name, provenance)
    grid = shards.read_shard(source / name, contract)
    known = shards.read_all_components(target, kept) or none_of(len(require_intrinsic_axis(contract).wavelength))
    coefficients, more = compressed(grid.flux, known, convolve)
    digests = dict(kept["shards"])  # type: ignore[call-overload]
    if len(more):
        path = target / shards.components_name(number)
        write_components(path, more)
        digests[path.name] = shards.file_digest(path)
    digests[name] = shards.write_shard(target / name, contract, int(str(provenance["seed"])), grid, coefficients)
    everything: Components = known.and_(more)
    loss = float(losses(grid.flux, everything.flux(coefficients), convolve).max())
    first, stop = number * shards.SHARD_RUNS, (number + 1) * shards.SHARD_RUNS
    failed = {run: why for run, why in dict(provenance["failed"]).items() if first <= int(run) < stop}  # type: ignore[call-overload]
    kept.update(shards=digests, failed={**dict(kept["failed"]), **failed}, runs=stop)  # type: ignore[call-overload]
    largest = max(loss, float(np.float64(str(kept.get("largest_loss", 0.0)))))
    kept["largest_loss"] = round(largest, 7)
    shards.write_provenance(target, kept)
    return loss
