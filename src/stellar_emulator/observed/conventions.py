"""What a file states of its wavelengths' medium and frame: in cards and columns of known meaning, or by its survey."""

from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import Frame, RawTable

MEDIUM_WORDS: dict[str, Medium] = {"air": "air", "vacuum": "vacuum", "vac": "vacuum"}
MEDIUM_CARDS = ("medium", "airorvac", "wavetype", "wavemed")
"""Cards whose value is one of these words."""

AXIS_TYPES: dict[str, Medium] = {"awav": "air", "wave": "vacuum"}
"""Greisen et al. 2006, A&A 446, 747, table 1; any other type of axis, such as Wavelength or LINEAR, says nothing."""

AXIS_CARDS = ("ctype1", "ctype2", "ctype3")

AIR_UCD, LENGTH_UCD = "em.wl;obs.atmos", "em.wl"
"""Of a table's wavelengths: in air with the token, in vacuum without it (ESO's Science Data Products standard)."""

FRAMES: dict[str, Frame] = {
    "source": "rest",
    "rest": "rest",
    "barycent": "barycentric",
    "heliocen": "heliocentric",
    "topocent": "observed",
}
"""Values of SPECSYS, by their first letters (Greisen et al. 2006, table 12)."""


def stated_medium(table: RawTable, wavelength: str | None) -> tuple[Medium, str] | None:
    """The medium that a file states, and where; None if it states none. wavelength: the column's name.

    Raises
    ------
    InputError
        If it states both.
    """
    found = [*_by_cards(table), *_by_column(table, wavelength)]
    if not found:
        return (table.told.medium, table.told.because) if table.told.medium else None
    media = {medium for medium, _ in found}
    if len(media) > 1:
        both = " and ".join(f"{medium} by {where}" for medium, where in found)
        raise InputError(f"{table.name} states its wavelengths in {both}: state --medium")
    return found[0]


def _by_cards(table: RawTable) -> list[tuple[Medium, str]]:
    found: list[tuple[Medium, str]] = []
    for card in MEDIUM_CARDS:
        text = table.stated(card)
        if text and text.lower() in MEDIUM_WORDS:
            found.append((MEDIUM_WORDS[text.lower()], card))
    vacuum = table.stated("vacuum")
    if vacuum and vacuum.lower() in ("true", "t", "1", "false", "f", "0"):
        found.append(("vacuum" if vacuum.lower() in ("true", "t", "1") else "air", f"VACUUM = {vacuum}"))
    for card in AXIS_CARDS:
        text = (table.stated(card) or "").lower()
        kind, _, rest = text.partition("-")
        if kind in AXIS_TYPES and rest in ("", "log", "tab"):
            found.append((AXIS_TYPES[kind], f"{card.upper()} = {text.upper()}"))
    return found


def _by_column(table: RawTable, wavelength: str | None) -> list[tuple[Medium, str]]:
    if wavelength is None:
        return []
    ending = wavelength.strip().lower().rpartition("_")[2]
    if ending in MEDIUM_WORDS:
        return [(MEDIUM_WORDS[ending], f"column {wavelength}")]
    number = list(table.columns).index(wavelength) + 1 if wavelength in table.columns else 0
    meaning = (table.stated(f"tucd{number}") or table.stated(f"ucd {wavelength}") or "").lower()
    if meaning in (AIR_UCD, LENGTH_UCD):
        return [("air" if meaning == AIR_UCD else "vacuum", f"its UCD {meaning}")]
    return []


def stated_frame(table: RawTable) -> tuple[Frame, str] | None:
    """The frame that a file states, and where; None if it states none."""
    system = (table.stated("specsys") or "").lower()
    for beginning, frame in FRAMES.items():
        if system.startswith(beginning):
            return frame, f"SPECSYS = {system.upper()}"
    if (table.stated("helio") or "").lower() in ("true", "t"):
        return "heliocentric", "HELIO = T"
    return (table.told.frame, table.told.because) if table.told.frame else None
