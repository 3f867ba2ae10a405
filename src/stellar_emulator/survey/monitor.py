"""The monitor of a survey: a page of what was found, from the folder's own files, chunk by chunk."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from stellar_emulator.contract.contract import Contract
from stellar_emulator.figures.html import document, image, table
from stellar_emulator.figures.survey import mean_residuals, reduced_chi_squares
from stellar_emulator.survey.flags import Flag, counts, edge_of, meanings
from stellar_emulator.survey.residuals import METADATA, Residuals, bin_names, nothing, wavelength_edges
from stellar_emulator.system.files import write_file

PAGE, RECORD = "_monitor.html", "_monitor.json"
"""What reads a folder of Parquet as one dataset passes over names that begin with an underscore."""

CHI_EDGES = np.geomspace(0.2, 50.0, 81)
"""Edges of the bins of reduced chi-squares; what lies beyond counts in the last bin."""


@dataclass(frozen=True)
class Monitored:
    """What a survey's folder holds.

    rows, flags: stars, and how many have each flag; edges: shares of fitted stars at a label's lower and upper edge, by
    label; chi_square: numbers by `CHI_EDGES`, and expected: those if all errors were right; median: of the reduced
    chi-squares; residuals: of all pixels.
    """

    rows: int
    flags: dict[str, int]
    edges: dict[str, tuple[float, float]]
    chi_square: NDArray[np.float64]
    expected: NDArray[np.float64]
    median: float
    residuals: Residuals

    def figures(self) -> dict[str, float]:
        """As numbers for MLflow: shares of flags and edges, and the middle of chi-square's distribution."""
        share = {f"flag.{name}": number / max(self.rows, 1) for name, number in self.flags.items()}
        edges = {
            f"edge.{name}.{end}": value
            for name, both in self.edges.items()
            for end, value in zip(ENDS, both, strict=True)
        }
        return {"stars": float(self.rows), "median_reduced_chi_square": self.median, **share, **edges}


ENDS = ("lower", "upper")


def monitored(contract: Contract, files: Iterable[Path]) -> Monitored:
    """Read the files of a survey's chunks."""
    import pyarrow.parquet as pq

    names = list(contract.label_names)
    rows, fitted = 0, 0
    flags: dict[str, int] = {}
    at_edge = np.zeros((len(names), 2))
    histogram, expected = np.zeros((2, len(CHI_EDGES) - 1))
    residuals = nothing(contract)
    for path in files:
        with pq.ParquetFile(path) as file:
            found = file.read(columns=["flags", "chi_square", "degrees_of_freedom", *names])
            text = (file.schema_arrow.metadata or {}).get(METADATA)
        own = found.column("flags").to_numpy()
        rows += len(own)
        flags = {name: flags.get(name, 0) + number for name, number in counts(own, contract).items()}
        used = (own & Flag.NOT_FITTED) == 0
        fitted += int(used.sum())
        for number, label in enumerate(contract.labels):
            value = found.column(label.name).to_numpy()
            flagged = used & ((own & edge_of(number)) != 0)
            upper = value > (label.lower + label.upper) / 2.0
            at_edge[number] += [(flagged & ~upper).sum(), (flagged & upper).sum()]
        freedom = found.column("degrees_of_freedom").to_numpy()[used].astype(float)
        ratio = found.column("chi_square").to_numpy()[used] / np.maximum(freedom, 1.0)
        histogram += np.histogram(np.clip(ratio, CHI_EDGES[0], CHI_EDGES[-1]), CHI_EDGES)[0]
        expected += _expected(freedom)
        residuals = residuals + (Residuals.from_text(text, contract) if text else nothing(contract))
    return Monitored(
        rows,
        {name: number for name, number in flags.items() if number},
        {name: tuple((at_edge[i] / max(fitted, 1)).tolist()) for i, name in enumerate(names)},
        histogram,
        expected,
        _median(histogram),
        residuals,
    )


def _median(histogram: NDArray[np.float64]) -> float:
    """Median of numbers by `CHI_EDGES`; NaN of none."""
    if not histogram.sum():
        return float("nan")
    reached = np.concatenate([[0.0], np.cumsum(histogram)]) / histogram.sum()
    return float(np.exp(np.interp(0.5, reached, np.log(CHI_EDGES))))


def _expected(freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers by `CHI_EDGES` of reduced chi-squares with so many degrees of freedom, (fits,), nearly normal."""
    found = np.zeros(len(CHI_EDGES) - 1)
    for value, number in zip(*np.unique(freedom[freedom > 0], return_counts=True), strict=True):
        found += number * np.diff(norm.cdf(CHI_EDGES, 1.0, np.sqrt(2.0 / value)))
    return found


def write_monitor(contract: Contract, folder: Path, found: Monitored, record: dict[str, Any]) -> None:
    """Write page and numbers of a survey into its folder; ``record``: what it was fitted with."""
    write_file(folder / PAGE, page(contract, found, record))
    write_file(folder / RECORD, json.dumps(found.figures(), indent=1))


def page(contract: Contract, found: Monitored, record: dict[str, Any]) -> str:
    """The page for people."""
    told = {text.partition(":")[0]: text.partition(": ")[2] for text in meanings(contract).values()}
    flags = [
        (name, f"{number:,}", f"{number / max(found.rows, 1):.2%}", told[name]) for name, number in found.flags.items()
    ]
    edges = [(name, *(f"{share:.2%}" for share in both)) for name, both in found.edges.items()]
    residual = found.residuals
    lines = np.nansum(residual.sums[2], axis=1), np.nansum(residual.sums[3], axis=1)
    sizes = [
        (name, f"{int(number):,}", f"{np.sqrt(total / number):.3f}" if number else "")
        for name, total, number in zip(bin_names(contract), *lines, strict=True)
    ]
    label = contract.first_binned
    return document(
        f"{contract.name}: a survey of {found.rows:,} stars",
        [
            f"<h1>{escape(contract.name)}: a survey of {found.rows:,} stars</h1>",
            "<h2>Flags</h2>",
            table(("flag", "stars", "share", "meaning"), flags) if flags else "<p>No star has any.</p>",
            "<h2>How well the fits fit</h2>",
            f"<p>Median of reduced chi-square: {found.median:.3f}. It is 1 where the errors that the fits heed "
            "(--model_error) are right; noise that neighbours share widens the distribution.</p>",
            image(reduced_chi_squares(found.chi_square, CHI_EDGES, found.expected), "Reduced chi-squares"),
            "<h2>Where they err</h2>",
            "<p>Mean residual at rest, weighted by the flux errors: what stands out here is in many stars, and so a "
            "fault of the model, of the continuum or of the instrument. Below, the residuals' size over the flux "
            "errors.</p>",
            image(
                mean_residuals(contract, residual.mean, wavelength_edges(contract), bin_names(contract)), "Residuals"
            ),
            table((label, "pixels", "size over the errors"), sizes),
            "<h2>At the edges of the model's box</h2>",
            "<p>Shares of the fitted stars; a label there may lie beyond.</p>",
            table(("label", *ENDS), edges),
            "<h2>Record</h2>",
            f"<pre>{escape(json.dumps(record, indent=1, default=str))}</pre>",
        ],
    )
