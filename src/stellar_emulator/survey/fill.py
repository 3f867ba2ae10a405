"""Fits of all chunks of a survey into a folder: each chunk's rows become a file at once and only once.

Workers are Dask's, on this machine or on any cluster: they read their chunk's files, and return rows. The command
alone writes to the folder, so that a chunk whose file exists is done, whatever was killed and whenever.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.epochs import StarFit, fit_stars
from stellar_emulator.fitting.estimate import Pair, fit_all
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.models.load_pair import load_pair
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.readers.formats import Choice
from stellar_emulator.observed.selection import parse_selection
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.survey.chunks import Chunk, Dataset
from stellar_emulator.survey.flags import Flag, meanings
from stellar_emulator.survey.monitor import Monitored, monitored, write_monitor
from stellar_emulator.survey.read import Part, read_chunk, together
from stellar_emulator.survey.residuals import METADATA, Residuals, nothing, residuals_of
from stellar_emulator.survey.rows import survey_rows
from stellar_emulator.survey.star_rows import Epochs, star_rows, stars_of
from stellar_emulator.system.cluster import Work, client_of, computed
from stellar_emulator.system.files import new_file, read_json, write_file
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.version import VERSION

if TYPE_CHECKING:
    import pyarrow as pa

CONNECTION_SECONDS = 60
CHUNKS_PER_WORKER = 2
"""Chunks submitted in advance for each worker: enough that none waits for the command."""

MOST_AT_ONCE = 512
"""Spectra of other files than Parquet that are fitted at once, however many a file holds."""

MANIFEST = "_survey.json"
"""What reads a folder of Parquet as one dataset passes over names that begin with an underscore."""


@dataclass(frozen=True)
class Job:
    """Everything that decides a survey's rows besides its spectra.

    together: whether a star's epochs are one fit; by_file: whether all spectra of a file are a star's.
    """

    model: str
    validator: str
    contract: str
    treatment: Treatment
    stated: Stated
    form: str | None
    select: str | None = None
    together: bool = True
    by_file: bool = False
    known: dict[str, float] = field(default_factory=dict)
    priors: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of the settings."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Filled:
    """What a call of `fill` has done: chunks in all, and those that it fitted; what the folder holds.

    refused: why the first unusable spectrum is so; drawn: whether there is a page of the monitor.
    """

    folder: Path
    chunks: int
    fitted: int
    found: Monitored
    refused: str
    drawn: bool

    @property
    def rows(self) -> int:
        return self.found.rows


def fill(dataset: Dataset, job: Job, folder: Path, workers: int | None = None, scheduler: str | None = None) -> Filled:
    """Fit every chunk that has no file in ``folder`` yet.

    workers: local processes, by default one for each core; 1 fits in this process. scheduler: address of a running Dask
    scheduler, whose workers must see the dataset's files and the model under the same names.

    Raises
    ------
    InputError
        If the folder is being filled by another process, or holds rows of other spectra, settings or another model.
    SetupError
        If no scheduler answers, or a worker can't work.
    """
    from tqdm import tqdm

    make_folder(folder)
    with locked(folder):
        pair = _pair(job.model, job.validator, job.contract)
        digest = str(getattr(pair.emulator, "digest", pair.emulator.version))
        _claimed(folder, dataset, job, digest, meanings(pair.emulator.contract))
        todo = [chunk for chunk in dataset.chunks if not (folder / chunk.name).exists()]
        whole, left = (sum(chunk.size for chunk in chunks) for chunks in (dataset.chunks, todo))
        with tqdm(total=whole, initial=whole - left, unit=dataset.unit, desc="fit", mininterval=1.0) as progress:
            for chunk, table in _tables(todo, job, workers, scheduler):
                _write(folder / chunk.name, table, job, digest)
                progress.update(chunk.size)
        return _filled(folder, dataset, pair.emulator.contract, len(todo))


def fitted_chunk(job: Job, chunk: Chunk) -> "pa.Table":
    """The rows of one chunk."""
    import pyarrow as pa

    pair = _pair(job.model, job.validator, job.contract)
    choice = Choice(job.form, None if job.select is None else parse_selection(job.select))
    parts = read_chunk(chunk, pair.emulator.contract.wavelength, job.stated, choice, job.by_file)
    made = [_fitted(job, pair, part) for part in together(parts, max(MOST_AT_ONCE, chunk.stop - chunk.first))]
    whole = pa.concat_tables([table for table, _ in made], promote_options="permissive")
    residuals = sum((one for _, one in made), nothing(pair.emulator.contract))
    return whole.replace_schema_metadata({METADATA: residuals.to_text()})


def _fitted(job: Job, pair: Pair, part: Part) -> "tuple[pa.Table, Residuals]":
    """The rows of some spectra, or of the stars whose epochs they are, and the sums of their residuals."""
    stars = stars_of(part) if job.together else None
    if stars is not None:
        return _fitted_stars(job, pair, part, stars)
    used = [one for one in part.seen if isinstance(one, ObservedSpectrum)]
    fits = iter(fit_all(used, pair, job.treatment, job.known, job.priors))
    found = [next(fits) if isinstance(one, ObservedSpectrum) else one for one in part.seen]
    contract = pair.emulator.contract
    return survey_rows(contract, part.seen, found, part.passed), residuals_of(contract, found)


def _fitted_stars(job: Job, pair: Pair, part: Part, stars: list[Epochs]) -> "tuple[pa.Table, Residuals]":
    usable = [(star.name, star.used) for star in stars if star.used]
    fits = iter(fit_stars(usable, pair, job.treatment, job.known, job.priors))
    found = [star.unusable or next(fits) for star in stars]
    contract, means = pair.emulator.contract, [one.fitted for one in found if isinstance(one, StarFit)]
    return star_rows(contract, part, stars, found), residuals_of(contract, means)


@lru_cache(maxsize=2)
def _pair(model: str, validator: str, contract: str) -> Pair:
    emulator, own = load_pair(model, validator, Path(contract))
    return Pair(emulator, own, library(emulator))


def _claimed(folder: Path, dataset: Dataset, job: Job, model: str, flags: dict[int, str]) -> None:
    """Note what the folder holds, or refuse one that holds something else."""
    own = {"dataset": dataset.digest, "settings": job.digest, "model": model, "chunks": len(dataset.chunks)}
    noted = read_json(folder / MANIFEST)
    told = {**own, "version": VERSION, "job": asdict(job), "flags": {str(bit): text for bit, text in flags.items()}}
    text = json.dumps(told, indent=1, default=str)
    if noted is None:
        write_file(folder / MANIFEST, text)
        return
    for name, value in own.items():
        if noted.get(name) != value:
            raise InputError(
                f"{folder} holds a survey with {name} {str(noted.get(name))[:12]}, now asked for is "
                f"{str(value)[:12]}{_differing(noted.get('job'), json.loads(text)['job'])}: use another folder"
            )


def _differing(noted: Any, asked: dict[str, Any]) -> str:
    """The settings that are others now, for a message."""
    names = [name for name, value in asked.items() if isinstance(noted, dict) and noted.get(name) != value]
    return f" ({', '.join(names)} differ)" if names else ""


def _write(path: Path, table: "pa.Table", job: Job, model: str) -> None:
    """Write a chunk's rows, each with the digests of model and settings, which take no room in Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, value in (("model", model), ("settings", job.digest)):
        own = f"survey_{name}" if name in table.column_names else name
        table = table.append_column(own, pa.repeat(pa.scalar(value), table.num_rows).dictionary_encode())
    with new_file(path) as partial:
        pq.write_table(table, partial)


def _filled(folder: Path, dataset: Dataset, contract: Contract, fitted: int) -> Filled:
    """What the folder holds now; its monitor is written where figures can be drawn."""
    files = [folder / chunk.name for chunk in dataset.chunks]
    found = monitored(contract, files)
    drawn = find_spec("matplotlib") is not None
    if drawn:
        write_monitor(contract, folder, found, read_json(folder / MANIFEST))
    refused = _first_refusal(files) if Flag.NOT_FITTED.name in found.flags else ""
    return Filled(folder, len(files), fitted, found, refused, drawn)


def _first_refusal(files: Iterable[Path]) -> str:
    import pyarrow.parquet as pq

    for path in files:
        table = pq.read_table(path, columns=["flags", "warning"])
        unusable = np.flatnonzero(table.column("flags").to_numpy() & Flag.NOT_FITTED)
        if len(unusable):
            return str(table.column("warning")[int(unusable[0])])
    return ""


def _tables(
    todo: list[Chunk], job: Job, workers: int | None, scheduler: str | None
) -> "Iterator[tuple[Chunk, pa.Table]]":
    """Chunks with their rows, as they are fitted."""
    if workers == 1 and scheduler is None:
        for chunk in todo:
            yield chunk, fitted_chunk(job, chunk)
    elif todo:
        work = Work(partial(fitted_chunk, job), lambda chunk: f"chunk {chunk.number}", "chunks", CHUNKS_PER_WORKER)
        with client_of(workers, scheduler, CONNECTION_SECONDS) as client:
            yield from computed(client, work, todo)
