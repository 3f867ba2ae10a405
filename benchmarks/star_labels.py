"""Labels of observed stars by the verb ``fit``, against the literature: ``python -m benchmarks.star_labels FOLDER``.

Each file of a folder's ``labels.csv`` is given to the command as it is, with the medium and unit that the table states
and the verb's defaults; nothing is known of the star itself. Metal-poor stars are also fitted with what colours tell
of Teff, drawn within 150 K of the literature's, and [alpha/M] 0.4 +- 0.15. What the command refuses is named.
"""

import argparse
import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.machine import Table, table
from benchmarks.star_files import read_table
from stellar_emulator import Emulator
from stellar_emulator.cli import main as command
from stellar_emulator.contract.contract import Contract
from stellar_emulator.shipped.resources import OBSERVED
from stellar_emulator.survey.flags import Flag, names_of

JUDGED = ("teff", "logg", "m_h")

SHOWN = {"teff": ".0f", "logg": ".2f", "m_h": ".2f", "alpha_m": ".2f"}

POOR = -1.2
"""[Fe/H] below which stars are a class of their own."""

COLOURS, COLOUR_ERROR = "teff={teff:.0f}+-150,alpha_m=0.4+-0.15", 150.0
"""What is known of metal-poor stars besides their spectra, and by how much K colours are off."""

SEED = 1

MARKED = ("poor", "none", "cluster", "stretched")
"""Qualities of labels that are not judged star by star."""

Row = Mapping[str, str]
Found = dict[str, float | int | str]


@dataclass(frozen=True)
class Judged:
    """Of some stars and one label: fitted minus literature, and over the errors of both, (stars,) each."""

    off: NDArray[np.float64]
    pull: NDArray[np.float64]


def main() -> None:
    """Print a row a star, classes, and clusters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="labels.csv and the spectra that it names")
    parser.add_argument("--model", default=None, help="pair; default: that of the verb")
    parser.add_argument("--sets", default="", help="of the table, by commas; default: all")
    parser.add_argument("--model_error", default="stars", help="as of the verb")
    parser.add_argument("--prior", default=None, help="as of the verb, for all stars")
    parser.add_argument("--mask", default=None, help="as of the verb")
    options = parser.parse_args()
    words = ["--model_error", options.model_error, *([] if options.model is None else ["--model", options.model])]
    words += [] if options.mask is None else ["--mask", options.mask]
    words += [] if options.prior is None else ["--prior", options.prior]
    stars = read_table(options.folder)
    if options.sets:
        stars = [star for star in stars if star["set"] in options.sets.split(",")]
    contract = Emulator.load(options.model or OBSERVED).contract
    found = fitted(options.folder, stars, words)
    print(table(f"Stars, fitted with {contract.name}", *_by_star(stars, found, contract)))
    print(table("Deviations from the literature by class: bias / RMS (RMS pull)", *_by_class(stars, found)))
    if "alpha_m" in contract.label_names and options.prior is None:
        poor = [star for star in stars if _is_poor(star) and star["teff"]]
        print(table("The same with priors of colours", *_by_class(poor, _with_colours(options.folder, poor, words))))
    print(table("Clusters, [M/H]", *_by_cluster(stars, found)))


def _with_colours(folder: Path, stars: Sequence[Row], words: Sequence[str]) -> dict[str, Found]:
    random, found = np.random.default_rng(SEED), dict[str, Found]()
    for star in stars:
        teff = random.normal(float(star["teff"]), COLOUR_ERROR)
        found.update(fitted(folder, [star], [*words, "--prior", COLOURS.format(teff=teff)]))
    return found


def fitted(folder: Path, stars: Sequence[Row], words: Sequence[str]) -> dict[str, Found]:
    """The command's row of each star, by file; those that it refuses are named on standard output and left out."""
    found: dict[str, Found] = {}
    for medium, unit in sorted({(star["medium"], star["unit"]) for star in stars}):
        own = [star for star in stars if (star["medium"], star["unit"]) == (medium, unit)]
        stated = [] if medium == "vacuum" else ["--medium", medium, "--unit", unit]
        with TemporaryDirectory() as scratch:
            output, text, said = Path(scratch) / "labels.parquet", io.StringIO(), io.StringIO()
            files = [str(folder / star["file"]) for star in own]
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(said):
                command(["fit", *files, *stated, *words, "--output", str(output)])
            rows = pq.read_table(output).to_pylist() if output.is_file() else []
        if len(rows) != len(own):
            last = (said.getvalue().strip().splitlines() or ["nothing said"])[-1]
            print(f"{len(own)} files of {medium}, {unit}: {len(rows)} rows; {last}")
            continue
        for star, row in zip(own, rows, strict=True):
            if row["flags"] & Flag.NOT_FITTED:
                print(f"{star['star']} ({star['set']}): refused: {row['warning']}")
            else:
                found[star["file"]] = row
    return found


def _is_poor(star: Row) -> bool:
    return bool(star["m_h"]) and float(star["m_h"]) < POOR and not star["cluster"]


def _by_star(stars: Sequence[Row], found: Mapping[str, Found], contract: Contract) -> Table:
    rows = []
    for star in stars:
        if (one := found.get(star["file"])) is None:
            continue
        cells = [
            f"{_number(star.get(name, ''), form)} / {one[name]:{form}} ± {one[f'{name}_error']:{form}}"
            for name, form in SHOWN.items()
            if name in one
        ]
        chi = float(one["chi_square"]) / max(int(one["degrees_of_freedom"]), 1)
        flags = " ".join(names_of(int(one["flags"]), contract)) or "-"
        rows.append(
            (f"{star['star']} ({star['set']})", f"{star['use']}, {star['quality']}", *cells, f"{chi:.2f}", flags)
        )
    names = [name for name in SHOWN if name in contract.label_names]
    return rows, ("star", "use, quality", *(f"{name}: literature / fit" for name in names), "chi-square", "flags")


def _number(text: str, form: str) -> str:
    return f"{float(text):{form}}" if text else "-"


def _by_class(stars: Sequence[Row], found: Mapping[str, Found]) -> Table:
    sure = [star for star in stars if star["quality"] not in MARKED and star["file"] in found and star["teff"]]
    classes = {
        "FGK, test": [star for star in sure if star["use"] == "test" and not _is_poor(star)],
        "FGK, calibrate": [star for star in sure if star["use"] == "calibrate" and not _is_poor(star)],
        "metal-poor, S/N 40 or more, test": [
            star for star in sure if _is_poor(star) and not float(star["snr"] or 100.0) < 40.0
        ],
        "all, test": [star for star in sure if star["use"] == "test"],
    }
    rows = []
    for name, own in classes.items():
        if own:
            judged = [judge(own, found, label) for label in JUDGED]
            cells = [
                f"{one.off.mean():+{SHOWN[label]}} / {np.sqrt(np.mean(one.off**2)):{SHOWN[label]}} "
                f"({np.sqrt(np.mean(one.pull**2)):.2f})"
                for label, one in zip(JUDGED, judged, strict=True)
            ]
            rows.append((name, str(len(own)), *cells))
    return rows, ("class", "stars", *JUDGED)


def judge(stars: Sequence[Row], found: Mapping[str, Found], label: str) -> Judged:
    """Deviations of those stars whose label the literature has."""
    own = [star for star in stars if star[label]]
    off = np.array([float(found[star["file"]][label]) - float(star[label]) for star in own])
    theirs = np.array([float(star.get(f"{label}_error") or 0.0) for star in own])
    ours = np.array([float(found[star["file"]][f"{label}_error"]) for star in own])
    return Judged(off, off / np.hypot(theirs, ours))


def _by_cluster(stars: Sequence[Row], found: Mapping[str, Found]) -> Table:
    rows: list[tuple[str, ...]] = []
    places = sorted({(star["set"], star["cluster"]) for star in stars if star["cluster"]})
    for group, cluster in places:
        own = [s for s in stars if (s["set"], s["cluster"]) == (group, cluster) and s["file"] in found and s["m_h"]]
        if not own:
            continue
        m_h = np.array([float(found[star["file"]]["m_h"]) for star in own])
        teff = np.array([float(found[star["file"]]["teff"]) for star in own])
        slope = f"{np.polyfit(teff, m_h, 1)[0] * 1000.0:+.2f}" if len(own) > 2 else "-"
        flagged = sum(bool(int(found[star["file"]]["flags"])) for star in own)
        told = (float(own[0]["m_h"]), m_h.mean(), m_h.std())
        cells = [f"{value:+.2f}" for value in told]
        rows.append((cluster, group, str(len(own)), *cells, slope, str(flagged)))
    return rows, ("cluster", "set", "stars", "literature", "mean", "scatter", "slope, dex per 1000 K", "flagged")


if __name__ == "__main__":
    main()
