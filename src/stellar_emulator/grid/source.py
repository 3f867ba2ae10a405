"""Opens a grid by its name or path: the embedded one, a folder that ``synthesize`` wrote, or a user's own file."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.departures.departures import stated
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.readers.user_grid import open_grid
from stellar_emulator.grid.shards import PROVENANCE, IntrinsicGrid, read_intrinsic_grid, shard_digests
from stellar_emulator.grid.store import Grid, Rows, open_parquet, write_grid
from stellar_emulator.shipped.resources import GRIDS, resource

EMBEDDED = "embedded"
INTRINSIC = "intrinsic"
SYNTHESISED = "grid.parquet"
"""Names of the intrinsic shards and of the broadened grid in a folder that ``synthesize`` wrote."""


def embedded_folder(contract: Contract, sequence: str = "seed") -> Path:
    """Folder of the contract's embedded intrinsic spectra: the ``seed`` or the ``gate`` sequence."""
    return resource(GRIDS, contract.embedded or contract.name, sequence)


@dataclass(frozen=True)
class Source:
    """A grid of broadened spectra and, if available, the intrinsic spectra from which it was made."""

    grid: Grid
    intrinsic: IntrinsicGrid | None


def open_source(source: str, contract: Contract, scratch: Path) -> Source:
    """Open a grid by its name or path; intrinsic spectra and foreign files are first rewritten under ``scratch``.

    Raises
    ------
    InputError
        If there is no such grid, it holds no spectrum, or its file can't be read.
    """
    opened = _open(source, contract, scratch)
    if not opened.grid.rows:
        raise InputError(f"grid {opened.grid.path} holds no spectrum")
    _require_departures(opened.grid, contract)
    return opened


def _require_departures(grid: Grid, contract: Contract) -> None:
    """Spectra broadened from runs of this package have the departures from LTE that the contract says, or none."""
    runs = grid.provenance.get("intrinsic")
    if not isinstance(runs, dict):
        return
    own, wanted = runs.get("departures"), stated(contract).get("departures")
    if own != wanted:
        raise InputError(
            f"grid {grid.path} was broadened from runs with departures from LTE {_named(own)}, and contract "
            f"{contract.name} has {_named(wanted)}: make the grid again, or begin the search anew that made it"
        )


def _named(departures: object) -> str:
    if not isinstance(departures, dict):
        return "none"
    return f"{departures.get('lines')} (table {str(departures.get('sha256'))[:8]})"


def _open(source: str, contract: Contract, scratch: Path) -> Source:
    if source == EMBEDDED:
        folder = embedded_folder(contract)
        if not (folder / PROVENANCE).is_file():
            raise InputError(
                f"contract {contract.name} has no embedded grid (no data/{folder.parent.name}/{folder.name} in the "
                "checkout): name one with --grid"
            )
        return expand_folder(folder, contract, scratch)
    path = Path(source)
    if path.is_dir() and (path / SYNTHESISED).is_file():
        grid = open_parquet(path / SYNTHESISED, contract)
        # An import of spectra that were broadened already has no others.
        return Source(grid, read_intrinsic_grid(path / INTRINSIC, contract) if (path / INTRINSIC).is_dir() else None)
    if path.is_dir() and (path / INTRINSIC / PROVENANCE).is_file():
        return expand_folder(path / INTRINSIC, contract, scratch)
    if path.is_dir() and (path / PROVENANCE).is_file():
        return expand_folder(path, contract, scratch)
    return Source(open_grid(path, contract, scratch), None)


def expand_folder(folder: Path, contract: Contract, scratch: Path) -> Source:
    """Broaden the intrinsic spectra of a folder into a Parquet grid; the same spectra are not broadened twice."""
    of_lines = [f"{stated(contract)}"] if contract.departures else []
    parts = [contract.digest, *shard_digests(folder).values(), *of_lines]
    key = hashlib.sha256("".join(parts).encode()).hexdigest()[:12]
    path, intrinsic = scratch / f"grid-{key}.parquet", read_intrinsic_grid(folder, contract)
    if path.is_file():
        return Source(open_parquet(path, contract), intrinsic)
    return Source(broaden(intrinsic, contract, contract.sampling.realisations, path), intrinsic)


def broaden(intrinsic: IntrinsicGrid, contract: Contract, realisations: int, path: Path) -> Grid:
    """Write ``realisations`` broadened spectra of each run to a Parquet file."""
    seed = int(str(intrinsic.provenance["seed"]))
    batches = _with_progress(expanded(contract, intrinsic, seed, realisations), realisations * len(intrinsic.run_id))
    provenance = {"intrinsic": dict(intrinsic.provenance), "realisations": realisations}
    return write_grid(path, contract, batches, contract.wavelength.pixels, contract.wavelength.medium, provenance)


def _with_progress(batches: Iterator[Rows], spectra: int) -> Iterator[Rows]:
    with tqdm(total=spectra, desc="broadening", unit="spectra", mininterval=1.0) as bar:
        for rows in batches:
            yield rows
            bar.update(len(rows.run_id))
