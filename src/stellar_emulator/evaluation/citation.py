"""Citations of this package and of the works on which it builds, as ``CITATION.cff`` lists them."""

from collections.abc import Mapping
from typing import Any

import yaml

from stellar_emulator.shipped.resources import CITATION, resource


def works() -> tuple[str, ...]:
    """One line of text for this package, then one for each work on which it builds."""
    content = yaml.safe_load(resource(CITATION).read_text())
    return tuple(_line(entry) for entry in (content, *content["references"]))


def _line(entry: Mapping[str, Any]) -> str:
    """Authors, year, title, publication, identifier, and what this package took from the work."""
    year = f" ({entry['year']})" if "year" in entry else ""
    parts = [_authors(entry["authors"]) + year, entry["title"], _source(entry), *_identifiers(entry)]
    note = f". {' '.join(entry['notes'].split())}" if "notes" in entry else ""
    return ", ".join(part for part in parts if part) + note


def _authors(authors: list[Mapping[str, str]]) -> str:
    names = [author.get("family-names") or author["name"] for author in authors]
    # A list that is abridged in the file ends with words such as "and 29 others".
    many = len(names) > 2 or names[-1].startswith("and ")
    return f"{names[0]} et al." if many else " and ".join(names)


def _source(entry: Mapping[str, Any]) -> str:
    name = entry.get("journal") or entry.get("collection-title") or entry.get("publisher", {}).get("name", "")
    return " ".join(str(part) for part in (name, entry.get("volume", ""), entry.get("start", "")) if part)


def _identifiers(entry: Mapping[str, Any]) -> list[str]:
    doi = [f"doi:{entry['doi']}"] if "doi" in entry else []
    return doi + [str(identifier["value"]) for identifier in entry.get("identifiers", ())]
