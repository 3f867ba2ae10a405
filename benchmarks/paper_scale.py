"""The paper's emulator trained to its end on as many spectra as the paper's: the embedded runs, 25 draws of each."""

import argparse
import sys
import time
from pathlib import Path

import keras
import numpy as np

from benchmarks.machine import table
from stellar_emulator import Validator
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.evaluation.accuracy import accuracy_table
from stellar_emulator.evaluation.evaluation import Evaluation, evaluate, read_part
from stellar_emulator.evaluation.flux_error import flux_error_table
from stellar_emulator.grid.shards import IntrinsicGrid, read_intrinsic_grid
from stellar_emulator.grid.source import broaden, embedded_folder
from stellar_emulator.grid.split import PARTS, split_rows
from stellar_emulator.grid.store import Grid, open_parquet, run_hashes
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.training import space
from stellar_emulator.training.fit_network import Fit, Report
from stellar_emulator.training.train_emulator import TrainedEmulator, reconstruct, train_emulator

SEED = 1
REALISATIONS = 25
HEADER = ("network", "epochs", "best epoch", "validation loss", "minutes")


def main() -> None:
    """Print what the networks reach. Hours on two cores; on a GPU (`KERAS_BACKEND=jax`, `--in_memory`) minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--realisations", type=int, default=REALISATIONS, help="broadened spectra of each run")
    parser.add_argument("--runs", type=int, default=8192, help="of the embedded grid, the first so many")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--in_memory", action="store_true", help="hold all flux in memory instead of streaming it")
    parser.add_argument("--output", type=Path, default=Path("output/paper_scale"), help="a killed call goes on there")
    options = parser.parse_args()
    if options.in_memory:
        space.BYTES_IN_MEMORY = sys.maxsize
    contract = read_contract("gaia_rvs")
    grid, intrinsic = _grid(contract, options.runs, options.realisations, options.output)
    emulator, evaluation = _trained(contract, grid, intrinsic, options.preset, options.output)
    title = (
        f"Preset `{options.preset}` on {grid.rows:,} spectra of {len(intrinsic.run_id):,} runs, Keras on {_device()}"
    )
    print(table(title, _fit_rows(emulator.fits), HEADER))
    print(f"```\n{accuracy_table(contract, evaluation.accuracy)}\n\n{flux_error_table(evaluation.flux_error)}\n```")


def _grid(contract: Contract, runs: int, realisations: int, folder: Path) -> tuple[Grid, IntrinsicGrid]:
    """The embedded runs, broadened once for all calls."""
    folder.mkdir(parents=True, exist_ok=True)
    embedded = read_intrinsic_grid(embedded_folder(contract), contract)
    intrinsic = embedded.take(np.flatnonzero(embedded.run_id < runs))
    path = folder / f"grid-{runs}-{realisations}.parquet"
    grid = open_parquet(path, contract) if path.is_file() else broaden(intrinsic, contract, realisations, path)
    return grid, intrinsic


def _trained(
    contract: Contract, grid: Grid, intrinsic: IntrinsicGrid, name: str, output: Path
) -> tuple[TrainedEmulator, Evaluation]:
    """The emulator, and what it reaches on runs that neither it nor the judge saw: the validator of the package."""
    preset = read_preset(name)
    split = split_rows(contract, run_hashes(grid, contract))
    folder = output / f"{name}-{keras.config.backend()}"
    emulator = train_emulator(grid, intrinsic, split, contract, preset, SEED, folder, _told)
    parts = {part: read_part(grid, split[part], SEED) for part in PARTS}
    reconstruction = reconstruct(emulator, contract, intrinsic, parts["test"])
    return emulator, evaluate(contract, emulator.network, Validator.load().network, parts, SEED, reconstruction)


def _told(network: str) -> Report:
    began = time.monotonic()

    def report(epoch: int, metrics: dict[str, float]) -> None:
        print(f"{network} {epoch + 1}: {metrics['val_loss']:.4g}, {time.monotonic() - began:.0f} s", file=sys.stderr)

    return report


def _device() -> str:
    backend = str(keras.config.backend())
    if backend != "jax":
        return backend
    import jax

    return f"{backend}, {jax.devices()[0].device_kind}"


def _fit_rows(fits: dict[str, Fit]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{fit.epochs}",
            f"{fit.best_epoch + 1}",
            f"{min(fit.history['val_loss']):.3g}",
            f"{fit.seconds / 60:.1f}",
        )
        for name, fit in fits.items()
    ]


if __name__ == "__main__":
    main()
