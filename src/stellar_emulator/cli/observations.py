"""The common parts of the verbs on observed spectra: options, models, files, and the exit after refused spectra."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from tqdm import tqdm

from stellar_emulator.cli.exposures import joined_by_file, notes_of, of_one_star, reading_of
from stellar_emulator.cli.settings import Fit, Observations
from stellar_emulator.contract.checks import check_labels
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.contract.label_table import broadcast, given_labels
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.fitting.estimate import Pair
from stellar_emulator.fitting.model_error import model_error_of
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.models.load_pair import load_pair
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.masks import parse_masks
from stellar_emulator.observed.orders import spectra_in
from stellar_emulator.observed.readers.formats import Choice, read_tables
from stellar_emulator.observed.selection import parse_selection
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.tellurics import telluric_ranges
from stellar_emulator.survey.read import Observed
from stellar_emulator.survey.star_rows import Epochs

TOGETHER = 64
"""Spectra that are answered together."""

LIST = "@"
"""Before the name of a text that names files, as in IRAF."""

SHOWN = 20
"""Number of spectra that a command prints; its table contains all."""

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class Row(Generic[T]):
    """One spectrum's answer, None if it was refused, what to warn of, and what was read, in one line; the exposures, if
    several of a star were answered together."""

    name: str
    found: T | None
    warnings: tuple[str, ...]
    reading: str = ""
    star: Epochs | None = None


def open_pair(options: Observations) -> Pair:
    """Load the emulator and the validator that the options name. Raises as `models.pair.load_pair`."""
    emulator, validator = load_pair(options.model, options.validator, options.contract)
    return Pair(emulator, validator, library(emulator))


def treatment(options: Observations, contract: Contract) -> Treatment:
    """Treatment of spectra according to the options. Raises `InputError` for an unknown mask or model error."""
    masks = () if options.mask == "none" else tuple(parse_masks(contract, options.mask))
    treated = Treatment(options.radial_velocity, options.continuum, masks, options.broaden)
    if not isinstance(options, Fit):
        return treated
    return replace(
        treated,
        error=model_error_of(contract, options.model_error),
        detector=options.detector,
        stretched=options.stretch == "fit",
        observed_masks=telluric_ranges(contract.wavelength.medium) if options.tellurics == "mask" else (),
    )


def stated(options: Observations) -> Stated:
    """What the options say of the files."""
    return Stated(options.unit, options.medium, options.snr, options.flags == "use", options.resolving_power)


def observations(options: Observations, contract: Contract) -> Iterator[Observed | Epochs]:
    """All spectra of all files, in order; exposures of a star that are to be fitted together come as one."""
    told = stated(options)
    choice = Choice(options.form, None if options.select is None else parse_selection(options.select))
    together = joined_by_file(options)
    for path in listed_files(options.files):
        spectra = _of_file(path, contract, told, choice)
        yield from of_one_star(spectra, str(path)) if together else spectra


def listed_files(files: Iterable[Path]) -> list[Path]:
    """Files by name; ``@LIST`` means the files that a text names, one a line. A word that is not a file may be a list
    of files itself, separated by spaces or commas.

    A parameter of `mlflow run` is one word, whatever its content. In such a word, names with spaces or commas are
    quoted.

    Raises
    ------
    InputError
        If a text can't be read, or names no file.
    """
    return [path for name in files for path in (_of_text(name) or _listed(name) or [name])]


def _of_text(name: Path) -> list[Path]:
    """The files that a text names, which are looked for from the current folder, as on the command line; none if the
    word means no text. Lines that begin with # are comments."""
    if not str(name).startswith(LIST) or name.exists():
        return []
    place = Path(str(name).removeprefix(LIST))
    try:
        lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{place}, a list of files after {LIST}, can't be read: {reason}") from error
    found = [Path(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{place}, a list of files after {LIST}, names none: give one a line")
    return found


def _listed(name: Path) -> list[Path]:
    """The files of a list; none if the word is not a list."""
    words = shlex.shlex(str(name), posix=True, punctuation_chars="")
    words.whitespace, words.whitespace_split, words.commenters = " ,\t\n", True, ""
    try:
        return [] if name.exists() else [Path(word) for word in words]
    except (OSError, ValueError):  # too long for a name, or a quote that nothing ends
        return []


def _of_file(path: Path, contract: Contract, stated: Stated, choice: Choice) -> Iterator[Observed]:
    try:
        yield from spectra_in(read_tables(path, choice), contract.wavelength, stated)
    except InputError as error:
        error.about = str(path)
        yield error


def known_labels(given: Mapping[str, str], contract: Contract) -> dict[str, float]:
    """Some of the labels, given as options such as ``--resolution 11500``, as numbers.

    Raises
    ------
    InputError
        If one is unknown, not a number, or out of bounds.
    """
    known = given_labels(given)
    filled = {label.name: label.lower for label in contract.labels} | known
    check_labels(contract, contract.label_names, broadcast(contract, list(filled.items()))[0])
    return known


def answered(
    options: Observations,
    contract: Contract,
    answer: Callable[[Sequence[ObservedSpectrum]], Sequence[T | InputError]],
    of_star: Callable[[Sequence[Epochs]], Sequence[T | InputError]] = lambda stars: (),
) -> tuple[list[Row[T]], list[InputError]]:
    """Results for all spectra, with progress and warnings on standard error, and the reasons for those that were
    refused; a few spectra at a time are answered together. of_star: answers to exposures that come as one."""
    rows, refused = [], []
    # Files are read one by one, so the number of spectra is known only at the end.
    seen = tqdm(observations(options, contract), desc=type(options).__name__.lower(), unit=" spectra", mininterval=1.0)
    for part in batched(seen, TOGETHER):
        answers = iter(answer([one for one in part if isinstance(one, ObservedSpectrum)]))
        stars = iter(of_star([one for one in part if isinstance(one, Epochs) and one.used]))
        for one in part:
            if isinstance(one, InputError):
                found: T | InputError = one
            elif isinstance(one, Epochs):
                found = one.unusable or next(stars)
            else:
                found = next(answers)
            name = one.about if isinstance(one, InputError) else one.name
            if isinstance(found, InputError):
                refused.append(found)
                rows.append(Row[T](name, None, (str(found),)))
            elif isinstance(one, Epochs):
                rows.append(Row(name, found, notes_of(one), reading_of(one), one))
            elif isinstance(one, ObservedSpectrum):
                rows.append(Row(name, found, one.notes, one.reading))
    return rows, refused


def batched(items: Iterable[S], size: int) -> Iterator[list[S]]:
    """Lists of ``size`` items each, the last one of those that are left."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def one_by_one(answer: Callable[[ObservedSpectrum], T]) -> Callable[[Sequence[ObservedSpectrum]], list[T | InputError]]:
    """An answer to each of several spectra; one that is refused comes as the error that says why."""

    def answers(spectra: Sequence[ObservedSpectrum]) -> list[T | InputError]:
        found: list[T | InputError] = []
        for spectrum in spectra:
            try:
                found.append(answer(spectrum))
            except InputError as error:
                found.append(error)
        return found

    return answers


def parse_priors(text: str | None, contract: Contract) -> dict[str, tuple[float, float]]:
    """Labels' values and errors of words such as ``teff=5800+-100, logg=4.4+-0.1``.

    Raises
    ------
    InputError
        If a label is unknown or stands twice, or a value or error is no number or out of bounds.
    """
    found: dict[str, tuple[float, float]] = {}
    for word in (text or "").replace(",", " ").split():
        name, _, rest = word.partition("=")
        value, sign, error = rest.partition("+-")
        if not sign or name in found:
            raise InputError(f"--prior {word:.40} is no label's: give each label once, such as teff=5800+-100")
        numbers = known_labels({name: value}, contract)
        try:
            width = float(error)
        except ValueError:
            width = 0.0
        if not 0.0 < width < float("inf"):
            raise InputError(f"--prior {word:.40}: its error {error!r} is no number above 0")
        found[name] = (numbers[name], width)
    return found


def report(rows: Sequence[Row[Any]], lines: Sequence[str], output: Path) -> None:
    """Print the results: one line per spectrum with its warnings below, and the place of the table."""
    for row, line in list(zip(rows, lines, strict=True))[:SHOWN]:
        print(f"{' '.join(row.name.split()) or 'unreadable'}: {line}")
        if row.reading:
            print(f"  read: {row.reading}")
        for warning in row.warnings:
            print(f"  warning: {warning}")
    if len(rows) > SHOWN:
        print(f"... and {len(rows) - SHOWN} more")
    print(f"{output}: {len(rows):,} {'spectrum' if len(rows) == 1 else 'spectra'}")


def values_of(label: Label, value: float, error: float) -> str:
    """A label with its error, both rounded to two significant digits of the error."""
    digits = max(0, 1 - int(np.floor(np.log10(error)))) if 0 < error < np.inf else 2
    return f"{label.name} {value:.{digits}f} +- {error:.{digits}f}" + (f" {label.unit}" if label.unit else "")


def require_some(refused: Sequence[InputError], count: int) -> None:
    """Raise the error that ends the command if spectra were refused; do nothing if none was.

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
