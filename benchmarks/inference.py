"""Start-up, latency and throughput of a trained emulator, beside the machine's matrix-product rate."""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.machine import Row, milliseconds, product_rates, seconds, spread, table
from stellar_emulator import Emulator

_OWN_LOADER = """
import sys
from stellar_emulator import Emulator
emulator = Emulator.load({folder!r})
middle = (emulator.contract.lower + emulator.contract.upper) / 2
assert emulator(middle[None]).shape == (1, emulator.contract.wavelength.count)
assert not {{"mlflow", "tensorflow", "keras"}} & set(sys.modules)
"""

_GENERATE = """
import tempfile
from stellar_emulator.cli import main
with tempfile.TemporaryDirectory() as place:
    assert main(["generate", {folder!r}, *{stars!r}, "--output", place + "/star.fits"]) == 0
"""

_PYFUNC = """
import sys, mlflow, pandas
model = mlflow.pyfunc.load_model({uri!r})
names = [column.name for column in model.metadata.signature.inputs]
example = {example!r}
assert len(model.predict(pandas.DataFrame([example], columns=names))) == 1
assert "tensorflow" not in sys.modules
"""


def main() -> None:
    """Print the table for the bundle of one emulator and, where it is registered, for MLflow's way to load it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", type=Path, default=Path("output/train/models/emulator"), help="bundle's folder")
    parser.add_argument("--uri", default="models:/stellar-emulator/1", help="registered emulator")
    options = parser.parse_args()
    print(table("Loading, generation and Jacobian of one emulator", measured(options.emulator, options.uri)))


def measured(folder: Path, uri: str | None = None) -> list[Row]:
    """Figures of the bundle in ``folder`` and, where it is registered as ``uri``, of MLflow's way to load it."""
    emulator = Emulator.load(folder)
    contract = emulator.contract
    random = np.random.default_rng(1)
    labels = contract.lower + random.random((16384, len(contract.labels))) * (contract.upper - contract.lower)
    middle = ((contract.lower + contract.upper) / 2).tolist()
    single = milliseconds(lambda: emulator(labels[:1]))
    batch = [1000.0 * 1024 / taken for taken in milliseconds(lambda: emulator(labels[:1024]))]
    many = [1000.0 * 16384 / taken for taken in milliseconds(lambda: emulator(labels))]
    own = [seconds(_OWN_LOADER.format(folder=str(folder))) for _ in range(5)]
    slopes = milliseconds(lambda: emulator.jacobian(labels[:1]))
    files = [seconds(_GENERATE.format(folder=str(folder), stars=_star(emulator))) for _ in range(5)]
    limit = max(product_rates().values())
    rows = [
        ("fresh process to first spectrum, our own loader (s)", spread(own), "<= 1.5"),
        ("one spectrum (ms); the paper: 9 ms", spread(single, 3), "<= 2"),
        ("batches of 1,024 (spectra/s)", spread(batch, 0), ">= 5,000"),
        ("batches of 16,384 (spectra/s)", spread(many, 0), ""),
        ("Jacobian of one spectrum by all labels (ms)", spread(slopes, 3), "<= 5"),
        ("`stellar-emulator generate` of one spectrum to FITS (s)", spread(files), "<= 1.5"),
        ("a plain 4096^3 product in the same run (GFLOP/s)", f"{limit:.0f}", ""),
    ]
    if uri is not None:
        pyfunc = [seconds(_PYFUNC.format(uri=uri, example=middle)) for _ in range(5)]
        rows.append(("fresh process to first spectrum, `mlflow.pyfunc.load_model` (s)", spread(pyfunc), "<= 8"))
    return rows


def _star(emulator: Emulator) -> list[str]:
    """The middle of the box as options of a command."""
    contract = emulator.contract
    middle = (contract.lower + contract.upper) / 2
    return [f"--{name}={value}" for name, value in zip(contract.label_names, middle.tolist(), strict=True)]


if __name__ == "__main__":
    main()
