"""A folder with a tracking store of its own, to run commands in, and what is trained there."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from synthetic import ROOT, TINY, synthetic_rows

from stellar_emulator.cli import main

CONTRACT = ROOT / "tests" / "data" / "tiny_contract.yaml"

PRESET = """
name: little
search_run: 0a1b2c
family: learned
autoencoder: {encoder: [16], latent: 4, decoder: [16], activation: silu, latent_activation: linear, training: &fit
  {optimizer: adam, learning_rate: 0.01, schedule: constant, batch_size: 64, epochs: 3, patience: 3}}
label_network: {hidden: [16, 8], dropout: [0.1, 0.0], activation: silu, training: *fit}
validator:
  {seeds: [1, 2, 3], components: 5, hidden: [16], activation: silu, initializer: glorot_uniform,
   one_network_per_label: true, training: *fit}
"""

ONE_JUDGE = PRESET.replace("seeds: [1, 2, 3]", "seeds: [1]").replace("label: true", "label: false")
"""The same with a single network as validator, where judges and labels of their own are of no interest."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if "error" in line.lower() or "Traceback" in line]


@dataclass(frozen=True)
class Workplace:
    """A folder with its own tracking store, in which commands run as in a terminal."""

    folder: Path

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.store, self.store)

    def run(self, *arguments: str | Path) -> Ended:
        """Run one command in this process, which has paid for its imports."""
        out, err = io.StringIO(), io.StringIO()
        with self.entered(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return Ended(code, out.getvalue(), err.getvalue())

    def entered(self) -> contextlib.AbstractContextManager[None]:
        return working_in(self.folder, self.store)

    def train(self, output: str, preset: str = "little.yaml", **changed: str | Path) -> Ended:
        return self.run("train", *self.options(output, preset=preset, **changed))

    def evaluate(self, output: str, **changed: str | Path) -> Ended:
        return self.run("evaluate", *self.options(output, **changed))

    def options(self, output: str, **changed: str | Path) -> list[str | Path]:
        given = {"contract": CONTRACT, "grid": "grid.npz", "output": output, **changed}
        return [word for name, value in given.items() for word in (f"--{name}", value)]

    def versions(self) -> dict[str, list[int]]:
        """Registered versions by model name."""
        names = [model.name for model in self.client.search_registered_models()]
        return {
            name: sorted(int(version.version) for version in self.client.search_model_versions(f"name='{name}'"))
            for name in names
        }


def user_arrays(runs: int = 100) -> dict[str, np.ndarray]:
    """What a user keeps in an NPZ file: flux, wavelengths, and an array for each label."""
    rows = synthetic_rows(TINY, runs)
    labels = dict(zip(TINY.label_names, rows.labels.T.copy(), strict=True))
    return {"flux": rows.flux, "wavelength": TINY.wavelength.pixels.copy(), **labels}


@contextlib.contextmanager
def working_in(folder: Path, store: str) -> Iterator[None]:
    """Be in a folder, with its store."""
    mlflow.set_tracking_uri(store)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        mlflow.set_tracking_uri("")
