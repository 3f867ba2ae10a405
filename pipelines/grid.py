"""Computes a contract's grid in resumable steps and keeps its compact form: ``python -m pipelines.grid CONTRACT``.

Each full shard of 1,024 runs is put into the compact form as soon as it is there, in a folder that can be committed as
it grows: append-only, so that what was committed stays as it is. Killed, the same command goes on; on another machine
too, from the last shard that was committed. Run it under ``nice`` where others work: it takes all the processors that
--workers says, for hours.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from stellar_emulator.cli.command import INTERRUPTED
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.errors import StellarEmulatorError
from stellar_emulator.grid.compact import carry_on, compact
from stellar_emulator.grid.engines.runs import synthesize_runs
from stellar_emulator.grid.shards import SHARD_RUNS


def main() -> int:
    """Compute and compact shard by shard, the gate's beside the others; the exit codes are those of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path, help="data contract, a YAML file or a name")
    parser.add_argument("--runs", type=int, default=24 * SHARD_RUNS, help="for training, validation and test")
    parser.add_argument("--gate_runs", type=int, default=2 * SHARD_RUNS, help="that the gate alone reads")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--work", type=Path, default=None, help="folder for whole spectra; default: output/grid/NAME")
    parser.add_argument("--output", type=Path, default=None, help="folder of the compact form; default: data/NAME")
    options = parser.parse_args()
    try:
        contract = read_contract(options.contract)
        work = options.work or Path("output/grid") / contract.name
        output = options.output or Path("data") / contract.name
        seeds = {"seed": contract.sampling.seed, "gate": contract.sampling.gate_seed}
        command = " ".join(["python -m pipelines.grid", *sys.argv[1:]])
        for sequence, runs in steps(options.runs, options.gate_runs):
            carry_on(output / sequence, work / sequence)
            done = synthesize_runs(contract, seeds[sequence], runs, work / sequence, options.workers, command=command)
            print(done.summary, flush=True)
            print(f"{output / sequence}: {compact(work / sequence, contract, output / sequence).summary}", flush=True)
    except StellarEmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


def steps(runs: int, gate_runs: int) -> Iterator[tuple[str, int]]:
    """Shard by shard: which sequence to extend, and to how many runs; the gate's grows in proportion."""
    done = 0
    for until in [*range(SHARD_RUNS, runs, SHARD_RUNS), runs]:
        yield "seed", until
        share = gate_runs if until == runs else gate_runs * until // runs // SHARD_RUNS * SHARD_RUNS
        if share > done:
            done = share
            yield "gate", done


if __name__ == "__main__":
    raise SystemExit(main())
