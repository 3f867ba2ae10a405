"""Texts of a contract that others show - on pages, in figures, in a terminal - and so must be what they look like."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode's kinds of what is not seen, or turns what is: control characters, marks of direction, half characters."""


def unseen(text: str, but: str = "") -> str | None:
    """The first character that is not seen, but for some; None where there is none."""
    return next((sign for sign in text if unicodedata.category(sign) in _UNSEEN and sign not in but), None)


def _seen(text: str) -> str:
    if (found := unseen(text)) is not None:
        raise ValueError(f"the text holds the unseen character U+{ord(found):04X}: leave it out")
    return text


def _sentence(text: str) -> str:
    if (found := unseen(text, "\n\t")) is not None:
        raise ValueError(f"the text holds the unseen character U+{ord(found):04X}: leave it out")
    return text


def _unit(text: str) -> str:
    if not re.fullmatch(r"[\w %°./*^()+-]*", text):
        raise ValueError("a unit has letters, digits, blanks and %°./*^()+- alone")
    return _seen(text)


def _line(text: str) -> str:
    if not re.fullmatch(r"[\w .,:()\[\]+*/'°-]+", text):
        raise ValueError("a line's name has letters, digits, blanks and .,:()[]+*/'°- alone")
    return _seen(text)


def _symbol(text: str) -> str:
    if "$" in text:
        raise ValueError("a symbol is LaTeX without the dollar signs around it")
    return _seen(text)


Sentence = Annotated[str, Field(max_length=4000), AfterValidator(_sentence)]
"""Text for people, of one or more lines."""

Unit = Annotated[str, Field(max_length=60), AfterValidator(_unit)]
LineName = Annotated[str, Field(max_length=60), AfterValidator(_line)]
Symbol = Annotated[str, Field(max_length=100), AfterValidator(_symbol)]

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,199}$")]
"""A registered model's: it becomes part of addresses, such as models:/NAME/3."""
