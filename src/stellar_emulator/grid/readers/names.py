"""Labels by our names: from what others call them, and from the names of files."""

import csv
import math
import re
from collections.abc import Mapping
from math import log10
from pathlib import Path

from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import LabelSource

_NAMES = {
    "teff": ("teff", "t_eff", "phxteff", "temp", "temperature", "t"),
    "logg": ("logg", "log(g)", "log_g", "log g", "grav", "gravity", "phxlogg", "g"),
    "m_h": (
        "m_h",
        "metals",
        "metal",
        "[m/h]",
        "[fe/h]",
        "feh",
        "fe_h",
        "mh",
        "m/h",
        "z",
        "logz",
        "phxm_h",
        "log(z/zo)",
    ),
    "alpha_m": ("alpha_m", "alpha", "[alpha/fe]", "[alpha/m]", "afe", "a_fe", "o mg si s ca ti", "phxalpha", "a"),
    "vmicro": ("vmicro", "vmic", "xi", "vturb", "vt", "log10vdop", "phxxi_l", "vdop"),
    "c_m": ("c_m", "c", "[c/m]", "[c/fe]", "cfe"),
    "n_m": ("n_m", "n", "[n/m]", "[n/fe]", "nfe"),
    "o_m": ("o_m", "[o/m]", "[o/fe]", "ofe"),
}

_KNOWN = {other: name for name, others in _NAMES.items() for other in others}

UNITS = {"teff": "K", "logg": "dex", "vmicro": "km/s"}
"""Units of labels; all others are abundances, in dex."""

SYMBOLS = {
    "teff": "T_\\mathrm{eff}",
    "logg": "\\log g",
    "m_h": "[\\mathrm{M/H}]",
    "alpha_m": "[\\alpha/\\mathrm{M}]",
    "vmicro": "\\xi",
}

_S = r"[+-]?"
_PATTERNS = (
    # MARCS: s5000_g+2.0_m1.0_t02_st_z+0.00_a+0.00_c+0.00_n+0.00_...
    r"[sp](?P<teff>\d{4,5})_g(?P<logg>[+-]\d+\.\d+)_m\d+\.\d+_t(?P<vmicro>\d\d)_\w\w_z(?P<m_h>[+-]\d+\.\d+)"
    r"(?:_a(?P<alpha_m>[+-]\d+\.\d+))?(?:_c(?P<c_m>[+-]\d+\.\d+))?(?:_n(?P<n_m>[+-]\d+\.\d+))?",
    # POLLUX and AMBRE: M_s5000g4.0z0.00t1.0_a0.00c0.00n0.00o0.00r0.00s0.00_VIS
    rf"[A-Z]_[sp](?P<teff>\d{{4,6}})g(?P<logg>{_S}\d+\.\d+)z(?P<m_h>{_S}\d+\.\d+)t(?P<vmicro>\d+\.?\d*)"
    rf"(?:_a(?P<alpha_m>{_S}\d+\.\d+)(?:c(?P<c_m>{_S}\d+\.\d+))?(?:n(?P<n_m>{_S}\d+\.\d+))?)?",
    # Turbospectrum: 5777g4.44z+0.00a+0.00t01-..._xit1.0
    r"(?P<teff>\d{4,5})g(?P<logg>\d+\.\d+)z(?P<m_h>[+-]\d+\.\d+)(?:a(?P<alpha_m>[+-]\d+\.\d+))?"
    r"(?:t\d+)?(?:.*?xit(?P<vmicro>\d+\.\d+))?",
    # BT-Settl: btsettl08_t2900_g4.50_z-0.00_en0.00
    r"t(?P<teff>\d{4,5})_g(?P<logg>\d+\.\d+)_z(?P<m_h>[+-]?\d+\.\d+)(?:_en(?P<alpha_m>[+-]?\d+\.\d+))?",
    # PHOENIX: lte05700-4.50-0.0.Alpha=+0.20.PHOENIX-ACES; the sign before the gravity separates
    r"lte(?P<teff>\d{5})-(?P<logg>\d\.\d\d)(?P<m_h>[+-]\d\.\d)(?:\.Alpha=(?P<alpha_m>[+-]\d\.\d\d))?",
    # FERRE: FEH+0.00_AFE+0.00_VMIC+0.00_TEFF+5750_LOGG+4.50
    r"FEH(?P<m_h>[+-][\d.]+)(?:_AFE(?P<alpha_m>[+-][\d.]+))?(?:_VMIC(?P<vmicro>[+-][\d.]+))?_TEFF(?P<teff>[+-]\d+)"
    r"_LOGG(?P<logg>[+-][\d.]+\d)",
    # SYNTHE: at12_aaaaa_t05770g4.44
    r"_t(?P<teff>\d{5})g(?P<logg>\d+\.\d+)",
)

_TLUSTY = re.compile(r"(?P<key>B?[CGLSTVWXYZ])(?P<teff>\d{5})g(?P<logg>\d{3})v(?P<vmicro>\d+)")
_COMPOSITIONS = {
    "C": 2.0, "G": 1.0, "L": 0.5, "S": 0.2, "T": 0.1, "V": 1 / 30, "W": 1 / 50, "X": 0.01, "Y": 0.001,
}  # fmt: skip
"""Metals of TLUSTY's grids, as a multiple of the Sun's, by the letter of their names (Lanz & Hubeny 2003, 2007)."""

_SETTL = re.compile(r"lte(?P<teff>\d{3}(?:\.\d)?)-(?P<logg>\d\.\d)(?P<m_h>[+-]\d\.\d)a(?P<alpha_m>[+-]\d\.\d)")


def canonical(stated: str) -> str | None:
    """Our name of a label that another code calls ``stated``; None if it is not known."""
    return _KNOWN.get(stated.strip().strip("'\"").strip().lower())


def labels_of_name(path: Path) -> dict[str, float]:
    """Labels in the name of a file, by the customs of the codes. Raises `InputError` if it follows none of them."""
    name = path.name
    if found := _SETTL.search(name):
        given = {key: float(value) + 0.0 for key, value in found.groupdict().items()}
        return {**given, "teff": 100.0 * given["teff"]}
    for pattern in _PATTERNS:
        if found := re.search(pattern, name):
            return {key: float(value) + 0.0 for key, value in found.groupdict().items() if value is not None}
    if found := _TLUSTY.search(name):
        return _tlusty(found.groupdict(), name)
    raise InputError(
        f"the name {name} holds no labels in a form that is known: give --labels, a table (columns file, teff, ...) or "
        "a pattern such as 't{teff}_g{logg}_m{m_h}'"
    )


def _tlusty(found: dict[str, str], name: str) -> dict[str, float]:
    letter = found["key"][-1]
    if letter == "Z":
        raise InputError(f"{name} has no metals at all: [M/H] is not defined")
    metals = round(log10(_COMPOSITIONS[letter]), 4) + 0.0
    return {
        "teff": float(found["teff"]),
        "logg": float(found["logg"]) / 100.0,
        "m_h": metals,
        "vmicro": float(found["vmicro"]),
    }


def label_source(given: str | None) -> LabelSource:
    """Where labels of files without any come from: their names (None), a table of labels, or a pattern of names.

    Raises
    ------
    InputError
        If the table or pattern can't be used.
    """
    if given is None:
        return labels_of_name
    if "{" in given:
        return _by_pattern(given)
    return _by_table(Path(given))


def _by_pattern(pattern: str) -> LabelSource:
    parts = re.split(r"\{(\w+)\}", pattern)
    names = parts[1::2]
    if len(set(names)) != len(names) or not names:
        raise InputError(f"--labels {pattern}: give each label once, in braces, such as 't{{teff}}_g{{logg}}'")
    number = r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    wanted = re.compile("".join(number if place % 2 else re.escape(part) for place, part in enumerate(parts)))

    def read(path: Path) -> Mapping[str, float]:
        found = wanted.search(path.name)
        if found is None:
            raise InputError(f"the name {path.name} does not follow --labels {pattern}")
        return dict(zip(names, map(float, found.groups()), strict=True))

    return read


class LabelTable:
    """Labels of files from a table; ``listed``: names of the files in it."""

    def __init__(self, table: Path, known: Mapping[str, Mapping[str, float]]) -> None:
        self.table, self.known = table, known

    @property
    def listed(self) -> tuple[str, ...]:
        return tuple(self.known)

    def __call__(self, path: Path) -> Mapping[str, float]:
        if path.name not in self.known:
            raise InputError(f"{path.name} is not listed in {self.table}")
        return self.known[path.name]


def _by_table(table: Path) -> LabelTable:
    try:
        with table.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the table of labels {table} can't be read: {error}") from error
    if not rows or "file" not in rows[0]:
        raise InputError(f"the table of labels {table} wants a column 'file' and one for each label, as CSV")
    known: dict[str, dict[str, float]] = {}
    for line, row in enumerate(rows, start=2):
        own = {key: _number(value) for key, value in row.items() if key not in ("file", None)}
        wrong = next((key for key, value in own.items() if value is None), None)
        if wrong is not None or None in row:
            what = f"{wrong} = {row[wrong]!r:.40} is no number" if wrong is not None else "it has more cells than names"
            raise InputError(f"the table of labels {table}, line {line} ({row['file']}): {what}: give every label one")
        if row["file"] in known:
            raise InputError(f"{table}, line {line}: {row['file']} is listed twice")
        known[row["file"]] = {key: value for key, value in own.items() if value is not None}

    return LabelTable(table, known)


def _number(text: str | None) -> float | None:
    """A number of a table's cell; None of what is none, or not finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
