"""How often the gate promotes pairs at given ratios of errors: gate sets simulated from real paired residuals.

Each simulated gate set draws runs with replacement, whole: a run's spectra keep their errors from computed and from
generated spectra as pairs, for all judges and labels. The generated errors of each label are then multiplied so that
the ratio of RMSE over all the real runs is the target exactly; nothing is drawn from a distribution. Two ways:

- as paired: what else is wrong with this very pair (a bias, a bad region) stays and may refuse too;
- exchanged: each run swaps the errors of its computed and its generated spectra with chance one half, so that both err
  alike in every bin and by the same mean, but differ as much as real ones do; only the ratio is then at fault.

Every simulated gate set goes through the whole gate but for what does not depend on it: evidence, champion, serves.
How many pass with one label at its margin is a few in a hundred, which takes many simulations to tell from the bar. So
these are also simulated with that label's ratio alone, which is quick: the whole gate can only promote fewer.
"""

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import table
from stellar_emulator import Emulator, Validator
from stellar_emulator.cli.evaluate import unseen_rows
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.gate.bootstrap import resample_counts
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.decide import limits_of, weigh
from stellar_emulator.gate.evidence import Evidence
from stellar_emulator.gate.label_statistics import error_sums, ratio_bounds
from stellar_emulator.gate.measured_spectra import FluxErrors, Measured, measure
from stellar_emulator.grid.source import embedded_folder, open_source

RATIOS = (1.0, 1.03, 1.05)
"""At which all labels stand together."""

WAYS = ("as paired", "exchanged")

JUDGES = tuple(Path("output/train/models") / name for name in ("validator", "judge_2", "judge_3"))

SECTIONS = ("judge", "match", "shift", "regions", "fidelity")
"""Of the gate, that depend on the gate set that was drawn."""


@dataclass(frozen=True)
class Scenario:
    """Ratios of RMSE by label, and the bar that its promotion rate is held to."""

    name: str
    ratios: dict[str, float]
    bar: str


def main() -> None:
    """Print how often each scenario is promoted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contract", type=Path, default=Path("gaia_rvs"))
    parser.add_argument("--emulator", type=Path, default=Path("output/train/models/emulator"))
    parser.add_argument("--judges", type=Path, nargs="+", default=list(JUDGES))
    parser.add_argument("--grid", default=None, help="default: the contract's gate set")
    parser.add_argument("--runs", type=int, default=None, help="of a simulated gate set; default: as many as are real")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--alone", type=int, default=6000, help="simulations of a ratio alone")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    contract = read_contract(options.contract)
    measured = _measured(contract, options)
    runs = options.runs or measured.runs
    print(
        f"{measured.runs:,} real runs, {len(measured.run):,} spectra, {len(measured.test)} judge(s); {runs:,} drawn\n"
    )
    simulated = partial(simulate, contract, measured, runs)
    seeds = np.random.SeedSequence(options.seed).generate_state(options.simulations).tolist()
    with ProcessPoolExecutor(os.cpu_count(), initializer=_one_thread) as pool:
        outcomes = np.array(list(pool.map(simulated, seeds, chunksize=8)))
    print(report(contract, outcomes))
    print(_at_the_margins(contract, measured, runs, options.alone, options.seed))


def _at_the_margins(contract: Contract, measured: Measured, runs: int, simulations: int, seed: int) -> str:
    """The table of how often a label's ratio alone passes at its margin."""
    squares = error_sums(measured)[:2]
    seeds = np.random.SeedSequence([seed, runs]).generate_state(simulations).tolist()
    with ProcessPoolExecutor(os.cpu_count(), initializer=_one_thread) as pool:
        passed = np.array(list(pool.map(partial(ratio_passes, contract, *squares, runs), seeds, chunksize=8)))
    rates = 100.0 * passed.mean(axis=0)
    rows = [
        (f"{label.name} at {limits_of(contract).ratio[label.name]:.2f}, {way}", f"{rates[i, j]:.2f} %", "<= 6 %")
        for j, label in enumerate(contract.accuracy_labels)
        for i, way in enumerate(WAYS)
    ]
    return table(f"The ratio alone, {simulations:,} simulated gate sets: passed", rows)


def ratio_passes(
    contract: Contract, test: NDArray[np.float64], generated: NDArray[np.float64], runs: int, seed: int
) -> NDArray[np.bool_]:
    """Draw one gate set of ``runs``; say for each way and label, (2, labels), whether it passes at its margin.

    test, generated: squared errors from computed and from generated spectra, summed over each real run, (runs, labels).
    The bound grows as the ratio does, so the margin itself cancels.
    """
    limits, random = limits_of(contract), np.random.default_rng(seed)
    drawn, swapped = random.integers(len(test), size=runs), (random.random(runs) < 0.5)[:, None]
    paired = generated * (test.sum(axis=0) / generated.sum(axis=0))
    exchanged = [np.where(swapped, one[drawn], other[drawn]) for one, other in ((generated, test), (test, generated))]
    ways = ((test[drawn], paired[drawn]), exchanged)
    counts = resample_counts(runs, limits.resamples, contract.sampling.gate_seed)
    bounds = [ratio_bounds(limits, counts, *squares) for squares in ways]
    return np.array([upper < 1.0 for _, upper in bounds])


def _one_thread() -> None:
    """Processes share the cores: threads of each would only stand in the others' way."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _measured(contract: Contract, options: argparse.Namespace) -> Measured:
    emulator, judges = Emulator.load(options.emulator), [Validator.load(folder) for folder in options.judges]
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        grid = open_source(options.grid or str(embedded_folder(contract, "gate")), contract, Path(scratch)).grid
        part = read_part(grid, unseen_rows(grid, contract, emulator, judges[0]), contract.sampling.gate_seed)
    candidate = Candidate(emulator.network, tuple(judge.network for judge in judges))
    return measure(contract, part, candidate, None)


def scenarios(contract: Contract) -> list[Scenario]:
    """All labels at each of `RATIOS`, and each label at its margin with the others at 1."""
    names, margins = [label.name for label in contract.accuracy_labels], limits_of(contract).ratio
    together = [
        Scenario(f"all at {ratio:.2f}", dict.fromkeys(names, ratio), ">= 90 %" if ratio == 1.0 else "")
        for ratio in RATIOS
    ]
    alone = [
        Scenario(f"{name} at {margins[name]:.2f}", dict.fromkeys(names, 1.0) | {name: margins[name]}, "<= 6 %")
        for name in names
    ]
    return together + alone


def simulate(contract: Contract, measured: Measured, runs: int, seed: int) -> list[list[list[bool]]]:
    """Draw one gate set; say for each way, scenario and one of `SECTIONS` whether nothing was refused there."""
    random = np.random.default_rng(seed)
    drawn, swapped = random.integers(measured.runs, size=runs), random.random(runs) < 0.5
    return [
        [_outcome(contract, resampled(contract, measured, drawn, swap, case.ratios)) for case in scenarios(contract)]
        for swap in (None, swapped)
    ]


def resampled(
    contract: Contract,
    measured: Measured,
    drawn: NDArray[np.integer],
    swapped: NDArray[np.bool_] | None,
    ratios: dict[str, float],
) -> Measured:
    """The gate set of the ``drawn`` runs, each one a run of its own, with ``ratios`` of RMSE over all real runs.

    ``swapped`` says which of the drawn runs exchange the errors of computed and generated spectra; None: this way is
    not taken, and the pair stays as it is.
    """
    order = np.argsort(measured.run, kind="stable")
    firsts = np.searchsorted(measured.run[order], np.arange(measured.runs + 1))
    sizes = np.diff(firsts)[drawn]
    rows = order[np.concatenate([np.arange(firsts[run], firsts[run + 1]) for run in drawn])]
    test, generated = measured.test[:, rows], measured.generated[:, rows]
    squares = np.stack([measured.weight @ (e**2).mean(axis=0) for e in (measured.test, measured.generated)])
    if swapped is None:
        population = np.sqrt(squares[1] / squares[0])
    else:
        exchange = np.repeat(swapped, sizes)[None, :, None]
        test, generated = np.where(exchange, generated, test), np.where(exchange, test, generated)
        population = np.ones(squares.shape[1])
    targets = np.array([ratios[label.name] for label in contract.accuracy_labels])
    return replace(
        measured,
        run=np.repeat(np.arange(len(drawn)), sizes),
        labels=measured.labels[rows],
        weight=measured.weight[rows],
        test=test,
        generated=generated * (targets / population),
        shift=measured.shift[rows],
        error=measured.error[rows],
        flux=FluxErrors(measured.flux.mae[rows], measured.flux.core[rows]),
    )


def _outcome(contract: Contract, measured: Measured) -> list[bool]:
    evidence = Evidence(False, {}, {}, 0, True, 0, ())
    decision = weigh(contract, measured, evidence, contract.sampling.gate_seed)
    refused = {row.section for row in decision.refusals}
    return [section not in refused for section in SECTIONS]


def report(contract: Contract, outcomes: NDArray[np.bool_]) -> str:
    """The table of promotion rates from outcomes (simulations, ways, scenarios, sections)."""
    rows = []
    for i, case in enumerate(scenarios(contract)):
        for way, name in enumerate(WAYS):
            met = outcomes[:, way, i]
            rates = dict(zip(SECTIONS, 100.0 * (~met).mean(axis=0), strict=True))
            refused = [f"{section} {rate:.1f} %" for section, rate in rates.items() if rate]
            by = f" (refused by {', '.join(refused)})" if refused else ""
            rows.append((f"{case.name}, {name}", f"{100.0 * met.all(axis=1).mean():.1f} %{by}", case.bar))
    return table(f"Power of the gate, {len(outcomes):,} simulated gate sets: promoted", rows)


if __name__ == "__main__":
    main()
