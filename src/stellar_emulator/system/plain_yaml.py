"""Reads YAML that anybody may have written: bounded in size, depth and repetition before anything is made of it.

YAML can name one node many times over (aliases, merges), nest without an end, which breaks the C library's stack, and
give a key twice, of which the last is silently taken. Its events come one after the other, so all of this is counted
before the first object is made.
"""

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from stellar_emulator.errors import InputError

MOST_BYTES = 8 * 2**20
"""Of a file: a wavelength axis may list its pixels."""

DEEPEST = 32
"""Levels of lists and mappings in each other."""

MOST_NODES = 1_000_000
"""Values, lists and mappings, each as often as it is named."""

_BROKEN = (yaml.YAMLError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises: of values that are none of the kind that they look like, it raises whatever comes."""

LONGEST_SCALAR = 100_000
"""Characters of one value."""

_SAFE: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Safe, and ten times faster where PyYAML comes with libyaml."""


class _Loader(_SAFE):  # type: ignore[misc]
    """Refuses a mapping that gives a key twice; keys that a merge brings may be given anew."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if isinstance(name, Hashable):
                if name in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {name!r:.60} is given twice in one mapping", key.start_mark
                    )
                seen.add(name)
        return dict(super().construct_mapping(node, deep=deep))


def read_text(path: Path, what: str) -> str:
    """A file's text, of up to `MOST_BYTES`; ``what`` stands in messages.

    Raises
    ------
    InputError
        If it is longer, or no UTF-8.
    OSError
        If it can't be read.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"{what} exceeds {MOST_BYTES // 2**20} MiB: no such file is that long")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{what} can't be read: it is no UTF-8 text (byte {error.start})") from error


def parse_yaml(text: str, what: str) -> Any:
    """What one YAML document says; ``what`` stands in messages.

    Raises
    ------
    InputError
        If it is no YAML, has tags that are not YAML's own, gives a key twice, or exceeds a bound.
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"{what} exceeds {MOST_BYTES // 2**20} MiB: no such file is that long")
    try:
        _check_size(text, what)
        return yaml.load(text, Loader=_Loader)
    except _BROKEN as error:
        raise InputError(f"{what} is no valid YAML: {' '.join(str(error).split())[:300]}") from error


def _check_size(text: str, what: str) -> None:
    """Count nodes and levels, an alias as all that it stands for."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in _events(text):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise InputError(f"{what}: alias *{event.anchor:.40} stands for nothing before it, or for itself")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            if len(event.value) > LONGEST_SCALAR:
                raise InputError(f"{what}: a value of {len(event.value)} characters is too long: {event.value:.20}...")
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
            # An anchor that is given anew stands for its new node.
            if event.anchor is not None:
                sizes.pop(event.anchor, None)
            if len(open_nodes) > DEEPEST:
                raise InputError(f"{what} is nested deeper than {DEEPEST} levels in line {line_of(event)}")
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if total > MOST_NODES:
            raise InputError(f"{what} holds more than {MOST_NODES:,} values, aliases counted as what they stand for")


def line_of(event: yaml.Event) -> int:
    """Number of the line, from 1, in which an event begins."""
    return 1 if event.start_mark is None else int(event.start_mark.line) + 1


def _events(text: str) -> Iterator[yaml.Event]:
    return iter(yaml.parse(text, Loader=_SAFE))
