"""What the verbs on observed spectra share: their options, models and files, and the end that refused spectra make."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from tqdm import tqdm

from stellar_emulator.cli.settings import Observations
from stellar_emulator.contract.checks import check_labels
from stellar_emulator.contract.contract import Contract, Label
from stellar_emulator.contract.label_table import broadcast, given_labels
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.fitting.estimate import Pair
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.models.pair import load_pair
from stellar_emulator.observed.interpret import Stated, spectra_of
from stellar_emulator.observed.masks import parse_masks
from stellar_emulator.observed.readers.formats import read_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum

Observed = ObservedSpectrum | InputError
"""A spectrum, or why it can't be used."""

SHOWN = 20
"""Spectra that a command prints; its table holds all."""

T = TypeVar("T")


@dataclass(frozen=True)
class Row(Generic[T]):
    """One spectrum's answer, None if it was refused, and what to warn of."""

    name: str
    found: T | None
    warnings: tuple[str, ...]


def open_pair(options: Observations) -> Pair:
    """Load emulator and validator as the options name them. Raises as `models.pair.load_pair`."""
    emulator, validator = load_pair(options.model, options.validator, options.contract)
    return Pair(emulator, validator, library(emulator))


def treatment(options: Observations, contract: Contract) -> Treatment:
    """How the options want spectra treated. Raises `InputError` for an unknown mask."""
    masks = () if options.mask == "none" else tuple(parse_masks(contract, options.mask))
    return Treatment(options.radial_velocity, options.continuum, masks)


def observations(options: Observations, contract: Contract) -> Iterator[Observed]:
    """All spectra of all files, in order."""
    stated = Stated(options.unit, options.medium, options.snr)
    for path in listed_files(options.files):
        yield from _of_file(path, contract, stated)


def listed_files(files: Iterable[Path]) -> list[Path]:
    """Files by name; a name that is none may be a list of them, separated by spaces or commas.

    A parameter of `mlflow run` is one word whatever it holds. Names with spaces or commas stand in quotes in a list.
    """
    return [path for name in files for path in (_listed(name) or [name])]


def _listed(name: Path) -> list[Path]:
    """The files of a list; none if it isn't one."""
    words = shlex.shlex(str(name), posix=True, punctuation_chars="")
    words.whitespace, words.whitespace_split, words.commenters = " ,\t\n", True, ""
    try:
        return [] if name.exists() else [Path(word) for word in words]
    except (OSError, ValueError):  # too long for a name, or a quote that nothing ends
        return []


def _of_file(path: Path, contract: Contract, stated: Stated) -> Iterator[Observed]:
    try:
        for table in read_tables(path):
            yield from spectra_of(table, contract.wavelength, stated)
    except InputError as error:
        yield error


def known_labels(given: Mapping[str, str], contract: Contract) -> dict[str, float]:
    """Some of the labels, given as options such as ``--resolution 11500``, as numbers.

    Raises
    ------
    InputError
        If one is unknown, no number or out of bounds.
    """
    known = given_labels(given)
    filled = {label.name: label.lower for label in contract.labels} | known
    check_labels(contract, contract.label_names, broadcast(contract, list(filled.items()))[0])
    return known


def answered(
    options: Observations, contract: Contract, answer: Callable[[ObservedSpectrum], T]
) -> tuple[list[Row[T]], list[InputError]]:
    """Answer for each spectrum, with progress and warnings on standard error; and the reasons of those refused."""
    rows, refused = [], []
    # Files are read one by one, so how many spectra there are is known at the end alone.
    for spectrum in tqdm(
        observations(options, contract), desc=type(options).__name__.lower(), unit=" spectra", mininterval=1.0
    ):
        name = "" if isinstance(spectrum, InputError) else spectrum.name
        try:
            if isinstance(spectrum, InputError):
                raise spectrum
            found = answer(spectrum)
        except InputError as error:
            refused.append(error)
            rows.append(Row[T](name, None, (str(error),)))
            continue
        rows.append(Row(name, found, spectrum.notes))
    return rows, refused


def report(rows: Sequence[Row[Any]], lines: Sequence[str], output: Path) -> None:
    """Print what was found, for people: one line a spectrum, its warnings below, and where the table is."""
    for row, line in list(zip(rows, lines, strict=True))[:SHOWN]:
        print(f"{' '.join(row.name.split()) or 'unreadable'}: {line}")
        for warning in row.warnings:
            print(f"  warning: {warning}")
    if len(rows) > SHOWN:
        print(f"... and {len(rows) - SHOWN} more")
    print(f"{output}: {len(rows):,} {'spectrum' if len(rows) == 1 else 'spectra'}")


def values_of(label: Label, value: float, error: float) -> str:
    """A label with its error, in as many digits as the error has two."""
    digits = max(0, 1 - int(np.floor(np.log10(error)))) if 0 < error < np.inf else 2
    return f"{label.name} {value:.{digits}f} +- {error:.{digits}f}" + (f" {label.unit}" if label.unit else "")


def require_some(refused: Sequence[InputError], count: int) -> None:
    """End the command as it deserves where spectra were refused; nothing happens if none was.

    Raises
    ------
    InputError
        If all were: the first reason.
    RefusedError
        If some were.
    """
    if refused and len(refused) == count:
        raise refused[0]
    if refused:
        raise RefusedError(
            f"{len(refused)} of {count} spectra could not be used, the column warning says why; first: {refused[0]}"
        )
