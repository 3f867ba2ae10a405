"""Headers of FITS files: cards of 80 characters in blocks of 2,880 bytes (FITS standard 4.0, section 4).

They are written here and not by astropy, whose import alone takes longer than all other steps for one spectrum.
"""

from collections.abc import Iterable

Value = str | bool | int | float
Card = tuple[str, Value, str]
"""Keyword, value and comment."""

BLOCK = 2880
"""Size in bytes of the blocks of which every part of a FITS file consists."""

_CARD = 80
_KEYWORD = 8


def header(cards: Iterable[Card]) -> bytes:
    """A whole header, its end and padding included."""
    text = "".join(card(*given) for given in cards) + f"{'END':<{_CARD}}"
    return padded(text.encode("ascii"), b" ")


def padded(content: bytes, filler: bytes) -> bytes:
    """Content filled up to whole blocks."""
    return content + filler * (-len(content) % BLOCK)


def card(keyword: str, value: Value, comment: str) -> str:
    """One card; a keyword longer than 8 characters follows the word HIERARCH, as astropy reads and writes it."""
    start = f"{keyword:<{_KEYWORD}}= " if len(keyword) <= _KEYWORD else f"HIERARCH {keyword} = "
    text = start + _written(value) + (f" / {comment}" if comment else "")
    return f"{text:<{_CARD}}"[:_CARD]


def _written(value: Value) -> str:
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        quoted = f"'{quoted:<8}'"
        return f"{quoted:<20}"
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    return f"{repr(value).upper():>20}"
