"""Published grids on nodes, from their files to an emulator with no edit between, and its errors by cross-validation.

    python -m benchmarks.nodes FILE [FILE ...] [--made] [--flux]

Each file is imported, validated, trained, evaluated and promoted by the five commands of docs/sources.md. ``--made``
adds a set of text files like BT-Settl's (absolute flux over micron, labels in the names), made from the shipped
emulator. ``--flux`` measures the same errors of flux without validators and the other commands, in a minute.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.machine import table
from stellar_emulator import Emulator
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.contract.medium import to_vacuum
from stellar_emulator.grid.source import open_source
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.networks.preset import read_any_preset
from stellar_emulator.training.cross_validation import cross_validate, cross_validation_rows

COLUMNS = (
    "grid",
    "runs",
    "pixels",
    "broadening",
    "emulator",
    "cubic RBF",
    "90 % below",
    "RMS",
    "validator",
    "decision",
)

TEFF, LOGG, M_H = (4000, 4500, 5000, 5500, 6000, 6500, 7000), (2.0, 3.0, 4.0, 5.0), (-1.0, -0.5, 0.0, 0.5)
"""Nodes of the set that is made; a few of them are left out, as published sets lack some."""

SEED = 1
"""That of `train`."""

MISSING = 7
"""One in so many."""


@dataclass(frozen=True)
class Measured:
    """One grid: what it is, and errors by cross-validation, as `cross_validation.json` has them."""

    name: str
    pixels: int
    exact: bool
    told: dict[str, object]
    decision: str


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--made", action="store_true", help="also a set like BT-Settl's")
    parser.add_argument("--flux", action="store_true", help="errors of the flux alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sources = [path.resolve() for path in options.files]
        if options.made:
            sources.append(made_set(Path(scratch) / "bt_settl_like"))
        measure = flux_alone if options.flux else measured
        rows = [_row(measure(source, Path(scratch) / f"grid-{number}")) for number, source in enumerate(sources)]
    print(table("Errors by 5-fold cross-validation over nodes", rows, COLUMNS))


def measured(source: Path, folder: Path) -> Measured:
    """Run the five commands on a source."""
    folder.mkdir()
    imported = folder / "grid"
    given = ["--contract", str(imported / "contract.yaml"), "--grid", str(imported)]
    for words in (
        ["import", str(source), "--output", str(imported)],
        ["validate", *given, "--output", str(folder / "check")],
        ["train", *given, "--output", str(folder / "train")],
        ["evaluate", *given, "--output", str(folder / "evaluate")],
        ["promote", *given, "--output", str(folder / "promote")],
    ):
        _run(words, folder)
    contract = read_contract(imported / "contract.yaml")
    told = json.loads((folder / "train" / "cross_validation.json").read_text())
    decision = json.loads((folder / "promote" / "decision.json").read_text())
    outcome = f"{decision['outcome']}, {decision['basis']}"
    return Measured(source.name, contract.wavelength.count, contract.intrinsic is not None, told, outcome)


def flux_alone(source: Path, folder: Path) -> Measured:
    """Import a source, and cross-validate its emulator as `train` does, without validators."""
    folder.mkdir()
    imported = folder / "grid"
    _run(["import", str(source), "--output", str(imported)], folder)
    contract = read_contract(imported / "contract.yaml")
    grids = open_source(str(imported), contract, folder / "grids")
    preset = read_any_preset("few_learned" if grids.intrinsic is None else "few")
    hashes = run_hashes(grids.grid, contract)
    found = cross_validate(
        grids.grid, grids.intrinsic, hashes, contract, preset, SEED, folder, lambda _: lambda epoch, values: None, False
    )
    told = {"runs": found.runs, "flux_error": cross_validation_rows(contract, grids.grid, found), "label_rmse": {}}
    return Measured(source.name, contract.wavelength.count, contract.intrinsic is not None, told, "")


def made_set(folder: Path) -> Path:
    """Files of absolute flux over vacuum wavelengths in micron, with labels in their names."""
    folder.mkdir()
    emulator = Emulator.load("gaia_rvs")
    micron = to_vacuum(emulator.contract.wavelength.pixels) * 1e-4
    for number, (teff, logg, m_h) in enumerate(product(TEFF, LOGG, M_H)):
        if number % MISSING == MISSING - 1:
            continue
        flux = emulator(teff=teff, logg=logg, vsini=0.0, m_h=m_h, vmicro=1.0, resolution=14500.0)
        absolute = flux / (micron**5 * np.expm1(14387.77 / (micron * teff)))
        name = f"btsettl08_t{teff}_g{logg:.2f}_z{m_h:+.2f}_en0.00_made.txt"
        np.savetxt(folder / name, np.stack([micron, 1e6 * absolute], axis=1), fmt="%.9f %.7e", delimiter="\t")
    return folder


def _run(words: list[str], folder: Path) -> None:
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    ended = subprocess.run(
        [sys.executable, "-m", "stellar_emulator", *words],
        cwd=folder,
        env=os.environ | store,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise SystemExit(f"stellar-emulator {' '.join(words)} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")


def _row(found: Measured) -> tuple[str, ...]:
    """Errors of the flux at inner nodes, with those of radial functions after each, and of inferred labels."""
    rows = {row["what"]: row for row in found.told["flux_error"] if row["where"] == "inner nodes"}  # type: ignore[attr-defined]
    ours, theirs = rows["emulator"], rows.get("cubic RBF")

    def both(name: str) -> str:
        return f"{ours[name]:.2e}" + ("" if theirs is None else f", {theirs[name]:.2e}")

    labels = ", ".join(f"{name} {error:.3g}" for name, error in found.told["label_rmse"].items())  # type: ignore[attr-defined]
    broadening = "exact" if found.exact else "as given"
    alone = "" if theirs is None else f"{theirs['mae']:.2e}"
    return (
        found.name,
        f"{found.told['runs']}",
        f"{found.pixels:,}",
        broadening,
        f"{ours['mae']:.2e}",
        alone,
        both("p90_mae"),
        both("rms"),
        labels,
        found.decision,
    )


if __name__ == "__main__":
    main()
