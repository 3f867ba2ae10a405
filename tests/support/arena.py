"""A small world in which pairs are good or bad by construction, registered like any other pair.

Flux is a formula: three lines whose depth follows a label each, through a tanh. The good emulator is that formula as a
dense network; the judges are least squares from flux to labels, which err because the tanh is not linear.
"""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from fresh_store import fresh_store
from synthetic import TINY, write_rows
from workplace import working_in

from stellar_emulator.cli import main
from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import drawn_labels
from stellar_emulator.grid.store import Rows
from stellar_emulator.networks.dense import DenseChain, DenseLayer, linear_map, scale_inputs
from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.promotion.champion import PairVersions, read_state
from stellar_emulator.registry import register, tracking
from stellar_emulator.saved.bundle import save_emulator, save_validator

_GATE = """
gate:
  {runs: 50, spectra: 150, judges: 3, resamples: 2000, confidence: 0.95, strict_ratio: 1.1, smooth_ratio: 0.9,
   bias: 0.25, skill: {teff: 0.95, m_h: 0.95, vsini: 0.95}, ratio: {teff: 1.1, m_h: 1.1, vsini: 1.1},
   shift: {teff: 60.0, m_h: 0.04, vsini: 3.0}, determined_signal_to_noise: 100.0, determined_share: 0.5,
   region_ratio: {teff: 1.3, m_h: 1.3, vsini: 1.3}, region_skill: 0.5,
   flux_error: {mae: 1.0e-3, p90_mae: 1.5e-3, hard_mae: 1.0e-3, core_mae: 1.5e-3},
   fresh: {spectra: 2048, lines: 8, coarse: 512}}
"""
_CHANGES = {
    "name: tiny": "name: arena",
    "emulator: tiny-emulator": "emulator: arena-emulator",
    "validator: tiny-label-validator": "validator: arena-validator",
    "count: 777": "count: 60",
    '"line 5050": 5050.0': '"line 5006": 5006.0',
}


def arena_contract() -> Contract:
    """The tiny contract on 60 pixels, with a gate of small numbers."""
    text = TINY.source
    for old, new in _CHANGES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return parse_contract(text + _GATE)


ARENA = arena_contract()
MODELS = ARENA.models
GATE_RUNS = 50
SERVED = Criterion("serves", "answered (not tried in this test)", None, None, True)
GENERATED = Criterion("fresh", "generated grid (not checked in this test)", None, None, True)

_CENTRES, _WIDTH, _DEPTH, _BEND = np.array([12.0, 30.0, 48.0]), 3.0, 0.1, 0.5


def good_network(ripple: float = 0.0, moved: float = 0.0) -> EmulatorNetwork:
    """The formula; ``ripple`` adds a fixed pattern of that size to all spectra, ``moved`` so many kelvin to Teff."""
    pixels = np.arange(ARENA.wavelength.count)
    profiles = np.exp(-0.5 * ((pixels - _CENTRES[:, None]) / _WIDTH) ** 2)
    width = ARENA.upper - ARENA.lower
    bent = DenseChain((DenseLayer((_BEND * np.eye(3)).astype(np.float32), np.zeros(3, np.float32), "tanh"),))
    scaled = scale_inputs(bent, 2.0 / width, (2.0 * moved * (np.arange(3) == 0) - ARENA.upper - ARENA.lower) / width)
    return EmulatorNetwork(scaled + linear_map(-_DEPTH / _BEND * profiles, 0.7 + ripple * (-1.0) ** pixels))


def gate_rows(runs: int = GATE_RUNS, seed: int = ARENA.sampling.gate_seed) -> Rows:
    """Computed spectra of the first runs of a sequence; they differ from the formula by a little noise."""
    run_id, realisations = np.arange(runs), ARENA.sampling.realisations
    labels = drawn_labels(ARENA, seed, run_id, sampling.run_labels(ARENA, seed, 0, runs), realisations)
    flux = good_network()(labels) + np.random.default_rng(seed).normal(0, 1e-4, (len(labels), ARENA.wavelength.count))
    weight = sampling.weights(ARENA, labels)
    return Rows(np.repeat(run_id, realisations), labels, weight, flux.astype(np.float32))


def judge_network(seed: int) -> ValidatorNetwork:
    """Least squares on spectra of its own."""
    known = gate_rows(100, 1000 + seed)
    inputs = np.hstack([known.flux.astype(float), np.ones((len(known.flux), 1))])
    solution = np.linalg.lstsq(inputs, known.labels, rcond=1e-3)[0]
    return ValidatorNetwork(linear_map(solution[:-1], solution[-1]), (linear_map(np.eye(3), np.zeros(3)),))


def gate_hashes(runs: int) -> list[str]:
    return [value[:16] for value in sampling.run_hash(sampling.run_labels(ARENA, ARENA.sampling.gate_seed, 0, runs))]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Arena:
    """A folder with its own registry, in which commands run as in a terminal."""

    folder: Path
    store: str
    contract: Contract = ARENA

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.store, self.store)

    def build(self) -> None:
        """Write contract and gate set, and make the registry if it is a file."""
        (self.folder / "contract.yaml").write_text(self.contract.source)
        write_rows(self.folder / "gate.parquet", gate_rows(), ARENA)
        if self.store.startswith("sqlite:"):
            fresh_store(self.folder)

    def entered(self) -> contextlib.AbstractContextManager[None]:
        return working_in(self.folder, self.store)

    def register(
        self, ripple: float = 5e-4, preset: str = "default", seen: list[str] | None = None, moved: float = 0.0
    ) -> PairVersions:
        """Register a pair trained on a grid that was checked; by default a good one that a better one can beat."""
        with self.entered():
            validation = self.validation_run("trained on this")
            metadata: dict[str, Any] = {
                "preset": {"name": preset, "validator": read_preset("default").validator.model_dump(mode="json")},
                "seed": 1,
                "grid_digest": "trained on this",
                "seen_runs": ["0" * 16, *(seen or [])],
                "test_runs": ["1" * 16],
            }
            folders = [self.folder / "bundles" / name for name in ("emulator", "validator", "judge_2", "judge_3")]
            save_emulator(folders[0], good_network(ripple, moved), self.contract, metadata)
            for seed, folder in enumerate(folders[1:]):
                save_validator(folder, judge_network(seed), self.contract, metadata)
            tags = {"validation_run_id": validation}
            validator = register.register_validator(folders[1], tags, folders[2:])
            tags["validator_version"] = str(validator.version)
            return PairVersions(register.register_emulator(folders[0], tags).version, validator.version)

    def register_in_name(self, ripple: float) -> PairVersions:
        """Register a pair without any model in it, for tests that never look."""
        with self.entered():
            client = mlflow.MlflowClient()
            versions: list[int] = []
            for name in (MODELS.validator, MODELS.emulator):
                if not client.search_registered_models(filter_string=f"name = '{name}'"):
                    client.create_registered_model(name)
                tags = {"validator_version": str(versions[0])} if versions else {}
                versions.append(int(client.create_model_version(name, f"s3://nowhere/{ripple}", tags=tags).version))
        return PairVersions(versions[1], versions[0])

    def validation_run(self, grid_digest: str) -> str:
        """A run that says of a grid that it passed, as ``train`` and ``validate`` leave it."""
        with tracking.start_run("grid validation") as run:
            run.set_tags({"grid_digest": grid_digest, "contract": self.contract.digest, "passed": "true"})
        return run.run_id

    def run(self, *arguments: str | Path) -> Ended:
        """Run one command in this process, which has paid for its imports."""
        out, err = io.StringIO(), io.StringIO()
        with self.entered(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(arguments[0]), "--contract", "contract.yaml", *map(str, arguments[1:])])
        return Ended(code, out.getvalue(), err.getvalue())

    def promote(self, pair: PairVersions, *arguments: str, grid: str = "gate.parquet") -> Ended:
        return self.run("promote", "--grid", grid, "--emulator", str(pair.emulator), *arguments)

    def state(self) -> tuple[PairVersions | None, PairVersions | None]:
        """Champion and previous pair."""
        with self.entered():
            state = read_state(MODELS)
        return state.champion, state.previous

    def aliases(self) -> dict[str, dict[str, str]]:
        """All aliases by model, as they stand."""
        return {
            name: dict(self.client.get_registered_model(name).aliases) for name in (MODELS.emulator, MODELS.validator)
        }

    def locks(self) -> list[str]:
        found = self.client.search_registered_models(filter_string=f"name LIKE '{MODELS.emulator}-lock-%'")
        return [model.name for model in found]

    def decision(self) -> dict[str, Any]:
        """What the last promotion wrote to its output."""
        return dict(json.loads((self.folder / "output" / "promote" / "decision.json").read_text()))


def without_page_and_server(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds and has its own tests: page, server, fresh process and the check of a fresh grid."""
    patch.setattr("stellar_emulator.cli.promote.page", lambda *facts: "<html></html>")
    patch.setattr("stellar_emulator.cli.promote.serving_criteria", lambda models, pair: [SERVED])
    patch.setattr("stellar_emulator.cli.promote.fresh_grid_criterion", lambda contract, emulator, seed: GENERATED)
