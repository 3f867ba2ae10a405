"""The verb ``synthesize``: compute runs with SYNSPEC, then broaden them into a grid."""

from stellar_emulator.cli.settings import Synthesize
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.grid.engines.runs import synthesize_runs
from stellar_emulator.grid.engines.synspec.engine import synspec_for
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import INTRINSIC, SYNTHESISED, broaden


def run(options: Synthesize) -> None:
    """Fill ``output/intrinsic`` with runs and ``output/grid.parquet`` with broadened spectra of them."""
    contract = read_contract(options.contract)
    seed = contract.sampling.seed if options.seed is None else options.seed
    realisations = contract.sampling.realisations if options.realisations is None else options.realisations
    synthesis = synthesize_runs(
        contract,
        seed,
        options.runs,
        options.output / INTRINSIC,
        workers=options.workers,
        scheduler=None if options.scheduler == "local" else options.scheduler,
        command=options.command,
        engine=synspec_for(contract, options.line_data),
    )
    print(synthesis.summary)
    intrinsic = read_intrinsic_grid(options.output / INTRINSIC, contract)
    grid = broaden(intrinsic, contract, realisations, options.output / SYNTHESISED)
    print(f"{grid.path}: {grid.rows:,} spectra of {grid.pixels:,} pixels, digest {grid.digest[:12]}")
