"""Which of a file's spectra are meant: those that a user selects by HDU, row, exposure or aperture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable

ROW = "row"
ALL = "all"
"""Value that means every part with a key, such as every exposure."""

SHOWN = 12
"""Parts that a message names."""


@dataclass(frozen=True)
class Selection:
    """What a spectrum's part must be: by its key, such as hdu, or under the empty key whatever it is called. Of the
    value `ALL`, it must have the key."""

    wanted: Mapping[str, str] = field(default_factory=dict)

    @property
    def row(self) -> int | None:
        """The row that is meant of tables of rows."""
        text = self.wanted.get(ROW)
        return None if text is None else int(text)

    def matches(self, part: Mapping[str, str]) -> bool:
        """Whether a part has all that is wanted; rows of tables are not looked at unless the part names its own."""
        for key, value in self.wanted.items():
            if (key == ROW and ROW not in part) or (value == ALL and key in part):
                continue
            held = [part[key]] if key in part else list(part.values()) if not key else []
            # An HDU has a number and a name: "1 COADD_B".
            if not any(value.lower() in (one.lower(), *one.lower().split(" ", 1)) for one in held):
                return False
        return True


def parse_selection(text: str) -> Selection:
    """Read words such as ``hdu=COADD_B row=2``; a word alone, such as COADD_R, is the name of any part.

    Raises
    ------
    InputError
        If a number stands alone, a row is no whole number, or a key stands twice.
    """
    wanted: dict[str, str] = {}
    for word in text.replace(",", " ").split():
        key, _, value = word.rpartition("=")
        key = key.lower()
        if not key and value.isdecimal():
            raise InputError(f"--select {value} could be an HDU, a row or an aperture: write hdu={value} or the like")
        if key == ROW and not value.isdecimal():
            raise InputError(f"--select row={value:.20} is no row: rows count 0, 1, 2, ...")
        if key in wanted or not value:
            raise InputError(f"--select {text:.60} names {key or 'a part'} twice or not at all")
        wanted[key] = value
    return Selection(wanted)


def selected(tables: Sequence[RawTable], selection: Selection | None) -> list[RawTable]:
    """Tables that are meant, with a note on what is passed over where nobody selected.

    Raises
    ------
    InputError
        If nothing matches; the message names what there is.
    """
    if selection is None:
        return _by_default(tables)
    found = [table for table in tables if selection.matches(table.part)]
    if not found:
        wanted = " ".join(f"{key}={value}" if key else value for key, value in selection.wanted.items())
        first = tables[0].name if tables else "the file"
        raise InputError(f"{first}: --select {wanted} matches nothing: there are {_listed(tables)}")
    row = selection.row
    if row is None:
        return found
    return [table if ROW in table.part else replace(table, rows=(row,)) for table in found]


def _by_default(tables: Sequence[RawTable]) -> list[RawTable]:
    chosen = [table for table in tables if table.default]
    others = [table for table in tables if not table.default]
    if not others:
        return list(chosen)
    count = "1 other spectrum of the file is" if len(others) == 1 else f"{len(others)} other spectra of the file are"
    note = f"{count} passed over, --select takes one: {_listed(others)}"
    return [table.noted(note) if number == 0 else table for number, table in enumerate(chosen)]


def _listed(tables: Sequence[RawTable]) -> str:
    named = [" ".join(f"{key}={value.split(' ', 1)[-1]}" for key, value in table.part.items()) for table in tables]
    named = [one for one in dict.fromkeys(named) if one] or ["one spectrum"]
    return ", ".join(named[:SHOWN]) + (f" and {len(named) - SHOWN} more" if len(named) > SHOWN else "")
