"""Finds the format of a foreign grid by its files' content and names, and lists its spectra."""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.apogee_grid import APOGEE_GRID
from stellar_emulator.grid.readers.ferre_text import FERRE_TEXT
from stellar_emulator.grid.readers.fits_grids import ATLAS9, FERRE_TABLE, PHOENIX, POLLUX_TABLE, SED_CUBE
from stellar_emulator.grid.readers.foreign import Format, LabelSource, Member, head_of
from stellar_emulator.grid.readers.moog import MOOG_RAW, MOOG_SMOOTHED
from stellar_emulator.grid.readers.msg import MSG
from stellar_emulator.grid.readers.names import LabelTable
from stellar_emulator.grid.readers.payne import PAYNE
from stellar_emulator.grid.readers.sme import SME
from stellar_emulator.grid.readers.text import BT_SETTL, POLLUX, SYNPLE, SYNSPEC, SYNTHE, TURBOSPECTRUM
from stellar_emulator.system.web_page import is_web_page, web_page_fault

FORMATS: tuple[Format, ...] = (
    APOGEE_GRID,
    MSG,
    FERRE_TEXT,
    FERRE_TABLE,
    TURBOSPECTRUM,
    SYNSPEC,
    SYNPLE,
    SYNTHE,
    MOOG_RAW,
    MOOG_SMOOTHED,
    PHOENIX,
    BT_SETTL,
    ATLAS9,
    POLLUX,
    POLLUX_TABLE,
    PAYNE,
    SME,
    SED_CUBE,
)

BROKEN = (Exception,)
"""What readers raise on a damaged file or one of another form: the libraries beneath raise anything, bare exceptions
included. The reason is listed with the file."""


@dataclass(frozen=True)
class Found:
    """Spectra of a grid, in the order of their files, and the files that gave none, each with the reason."""

    format: Format
    members: tuple[Member, ...]
    broken: dict[str, str]


def find_members(sources: Sequence[Path], name: str | None, labels: LabelSource) -> Found:
    """List the spectra of files and folders; ``name``: of the format, None to tell it by the content.

    Raises
    ------
    InputError
        If there is no file, no format recognises one, several do, or no file holds a spectrum.
    """
    paths = list_files(sources)
    form = format_called(name) if name is not None else recognised(paths)
    members: list[Member] = []
    broken: dict[str, str] = {}
    counts = Counter(path.name for path in paths)
    for path in paths:
        before = len(members)
        # Files of one name in several folders are told apart by these.
        folder = f"{path.parent.name}/" if counts[path.name] > 1 else ""
        try:
            with warnings.catch_warnings():
                # Of a file that ends early; what is missing is found when it is read.
                warnings.simplefilter("ignore")
                members += (replace(one, key=folder + one.key) for one in form.members(path, labels))
        except BROKEN as error:
            broken[folder + path.name] = reason_of(error)
        else:
            if len(members) == before and not (form.beside and path.match(form.beside)):
                broken[folder + path.name] = f"holds no spectrum of format {form.name}"
    members = [member for member in members if not _unlabelled(member, broken)]
    missing = set(labels.listed) - {path.name for path in paths} if isinstance(labels, LabelTable) else set()
    broken |= dict.fromkeys(sorted(missing), "listed in the table of labels, and not there")
    if not members:
        first = next(iter(broken.values()))
        raise InputError(f"none of {len(paths)} files is a spectrum of format {form.name}; the first: {first}")
    return Found(form, tuple(members), broken)


def _unlabelled(member: Member, broken: dict[str, str]) -> bool:
    """Whether a spectrum states a label that is no number, which is then listed as broken."""
    wrong = next((name for name, value in member.labels.items() if not math.isfinite(value)), None)
    if wrong is not None:
        broken[member.key] = f"its label {wrong} is {member.labels[wrong]}, which is no number"
    return wrong is not None


def list_files(sources: Sequence[Path]) -> list[Path]:
    """All files of some paths, sorted; folders are searched to any depth, without hidden files."""
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = (path for path in sorted(source.rglob("*")) if path.is_file())
            found += [path for path in inside if not any(part.startswith(".") for part in path.parts[-3:])]
        elif source.is_file():
            found.append(source)
        else:
            raise InputError(f"grid {source} does not exist: check the path")
    if not found:
        raise InputError(f"grid {' '.join(map(str, sources))} holds no file")
    return found


def format_called(name: str) -> Format:
    """A format by its name. Raises `InputError` if there is none."""
    for form in FORMATS:
        if form.name == name:
            return form
    raise InputError(f"format {name} is unknown: there are {', '.join(form.name for form in FORMATS)}")


def recognised(paths: Sequence[Path]) -> Format:
    """The format of the first file that any format recognises.

    Raises
    ------
    InputError
        If none does, or two do: then the user must say which one it is.
    """
    for path in paths:
        found = formats_of(path)
        if len(found) > 1:
            named = " or ".join(form.name for form in found)
            raise InputError(f"{path.name} may be of format {named}: say which with --format")
        if found:
            return found[0]
    known = ", ".join(form.name for form in FORMATS)
    if not paths[0].stat().st_size:
        raise InputError(f"{paths[0].name} is empty")
    if is_web_page(head_of(paths[0])):
        raise InputError(web_page_fault(paths[0].name))
    raise InputError(
        f"no format recognises {paths[0].name}: it may be cut short; else name its format with --format, one of {known}"
    )


def formats_of(path: Path) -> list[Format]:
    """Formats that recognise a file."""
    try:
        head = head_of(path)
    except BROKEN:
        return []
    found = []
    for form in FORMATS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if form.recognises(path, head):
                    found.append(form)
        except BROKEN:
            continue
    return found


def reason_of(error: BaseException) -> str:
    """What is wrong with a file, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, EOFError):
        return "it is cut short, its data end early: fetch it again"
    return text[:200] if isinstance(error, InputError) and text else f"{type(error).__name__}: {text}"[:200]
