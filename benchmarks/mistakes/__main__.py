"""How many of 85 honest mistakes in grids `validate` refuses or warns of, and how many good draws it wrongs.

Each mistake is done to 5,600 real spectra, 8 broadenings of 700 runs of the gate set, whose numbers are compared with
the contract's limits and with those against the emulator that comes with the package. Good draws are broadenings of
other runs of the gate set, some with all their spectra, some in part. Each twentieth grid, mistaken or good, and each
draw that breaks a limit goes through Great Expectations as well, which must agree.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.machine import Row, table
from benchmarks.mistakes.every import MISTAKES
from benchmarks.mistakes.material import REALISATIONS, RUNS, Material, Mistake, in_memory
from stellar_emulator import Emulator
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import embedded_folder
from stellar_emulator.validation.against import hold_against, weighed
from stellar_emulator.validation.check import check, check_summaries, with_derived
from stellar_emulator.validation.departures import Departures, Network, cells, departures, row_shifts, sample, shifts
from stellar_emulator.validation.grid_statistics import rank_correlation
from stellar_emulator.validation.overlap import Overlap, overlap
from stellar_emulator.validation.rules import rules
from stellar_emulator.validation.statistics import as_table, statistic_rules, statistics_of
from stellar_emulator.validation.summaries import summaries
from stellar_emulator.validation.verdict import Fault

REFERENCE = "gaia_rvs"

SEED, POOL_SEED = 77, 901
"""Of the broadenings of mistaken grids and of good draws."""

DRAWS = 200

THOROUGH = 20
"""Of so many grids one goes through Great Expectations, whatever its numbers."""

REMEMBERED = 24
"""Answers of an emulator that are kept: those for one grid of `RUNS`."""

SAMPLED = 6
"""Of so many good spectra one, whose label shifts are known."""

Found = tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A mistake, the expectations that refuse it, and the bands and labels that are warned of."""

    mistake: Mistake
    refused: Found
    warned: Found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--only", default="", help="mistakes whose kind or name holds one of these words, by commas")
    options = parser.parse_args()
    contract, emulator = read_contract(REFERENCE), Emulator.load(REFERENCE)
    words = options.only.split(",")
    chosen = [one for one in MISTAKES if any(word in f"{one.kind} {one.name}" for word in words)]
    found = list(_mistaken(contract, emulator, chosen))
    draws = list(_good(contract, emulator, options.draws))
    print(_summary(found, draws))
    columns = ("kind", "mistake", "refused by", "warned of against the emulator")
    print(table("Each mistake", [_line(one) for one in found], columns))


class _Remembering:
    """An emulator that generates the same labels once: most mistakes leave them as they are."""

    def __init__(self, emulator: Emulator) -> None:
        self.contract, self.bundle = emulator.contract, emulator.bundle
        self.network, self.jacobian = self._kept(emulator.network), self._kept(emulator.jacobian)

    @staticmethod
    def _kept(call: Network) -> Network:
        known: dict[bytes, NDArray[np.float32]] = {}

        def answer(labels: NDArray[np.float64]) -> NDArray[np.float32]:
            key = labels.tobytes()
            if key not in known:
                found = call(labels)
                if len(known) >= REMEMBERED:
                    return found
                known[key] = found
            return known[key]

        return answer


def _mistaken(contract: Contract, emulator: Emulator, mistakes: list[Mistake]) -> Iterator[Judged]:
    """What is found in each mistaken grid."""
    runs = read_intrinsic_grid(embedded_folder(contract, "gate"), contract).take(np.arange(RUNS))
    good = Material.drawn(contract, runs, emulator, SEED)
    remembering, common = _Remembering(emulator), overlap(contract, emulator.contract)
    for number, mistake in enumerate(mistakes):
        grid = in_memory(contract, mistake.do(good.anew(number)))
        table_of = with_derived(summaries(grid, contract)[0], contract)
        held = departures(grid, common, remembering.network, emulator.bundle.measured["flux_rms"])
        moved = row_shifts(grid, common, remembering.network, remembering.jacobian, sample(held.rows))
        parts = cells(contract, grid.labels[held.rows], held, len(np.unique(grid.run_id)))
        far = _far(contract, parts, shifts(contract, common, *moved))
        judged = Judged(mistake, _broken(table_of, contract), far)
        if number % THOROUGH == 0:
            faults = check(grid, contract).verdict.faults
            warnings = hold_against(grid, contract, cast(Emulator, remembering)).warnings
            _require_agreement(mistake.name, judged.refused, judged.warned, faults, warnings)
        print(*_line(judged), sep=" | ", file=sys.stderr, flush=True)
        yield judged


def _require_agreement(name: str, refused: Found, warned: Found, faults: Sequence[Fault], warnings: Found) -> None:
    """Raise if Great Expectations found another verdict than the comparison of numbers."""
    if bool(refused) != bool(faults) or bool(warned) != bool(warnings):
        raise RuntimeError(f"{name}: {refused} and {warned} against {faults} and {warnings}")


def _line(judged: Judged) -> tuple[str, ...]:
    mistake = judged.mistake
    return mistake.kind, mistake.sentence, ", ".join(judged.refused) or "-", ", ".join(judged.warned) or "-"


def _summary(found: list[Judged], draws: list[tuple[int, int]]) -> str:
    missed = [one.mistake.name for one in found if not one.refused and not one.warned]
    count = f"of {len(found)} mistakes, {RUNS * REALISATIONS:,} spectra each"
    rows: list[Row] = [
        (f"refused or warned of, {count}", str(len(found) - len(missed)), ">= 70"),
        ("refused without a reference", str(sum(bool(one.refused) for one in found)), ""),
        (f"warned of against {REFERENCE}", str(sum(bool(one.warned) for one in found)), ""),
        ("neither", ", ".join(missed) or "none", ""),
        (f"refused of {len(draws)} good draws", str(sum(faults > 0 for faults, _ in draws)), "0"),
        ("warned of among them", str(sum(warnings > 0 for _, warnings in draws)), "<= 2"),
    ]
    return table("Honest mistakes in grids", rows)


def _good(contract: Contract, emulator: Emulator, draws: int) -> Iterator[tuple[int, int]]:
    """Numbers of faults and of warnings of each good draw."""
    if not draws:
        return
    pool = _pool(contract, emulator)
    summarised, found = pool.summarised, pool.found
    random = np.random.default_rng(1)
    for draw in range(draws):
        rows = _part(summarised, random, draw)
        part = summarised.iloc[rows].reset_index(drop=True)
        table_of = with_derived(part, contract)
        here = Departures(found.rows[rows], found.mean[rows], found.square[rows], found.expected[rows], found.bands)
        labels, runs = table_of[contract.label_names].to_numpy(), table_of["run_id"].nunique()
        parts = cells(contract, labels, here, runs)
        sampled = np.isin(pool.sampled, rows)
        moved = shifts(contract, pool.common, pool.moved[sampled], pool.error[sampled])
        broken, far = _broken(table_of, contract), _far(contract, parts, moved)
        if not broken and not far and draw % THOROUGH:
            yield 0, 0
            continue
        faults = check_summaries(part, contract)[1].faults
        warnings = weighed(contract, REFERENCE, parts, moved).warnings
        for message in (*(fault.message for fault in faults), *warnings):
            print(f"good draw {draw}, {len(rows)} spectra: {message}", file=sys.stderr, flush=True)
        print(f"good draw {draw}: {len(faults)} faults, {len(warnings)} warnings", file=sys.stderr, flush=True)
        _require_agreement(f"good draw {draw}", broken, far, faults, warnings)
        yield len(faults), len(warnings)


def _broken(table_of: pd.DataFrame, contract: Contract) -> Found:
    """Expectations that bound a number which lies beyond; those that bound none (equal spectra) are left out."""
    statistics = statistics_of(table_of, contract)
    found = []
    for part, expected in (
        (table_of, rules(contract, list(table_of.columns))),
        (as_table(statistics), statistic_rules(statistics)),
    ):
        for rule in expected:
            if rule.expectation == "ExpectRankCorrelationToBeBetween":
                given = {name: value for name, value in rule.settings.items() if name not in ("min_value", "max_value")}
                correlation = rank_correlation(part, **given)
                bounds = rule.settings["min_value"], rule.settings["max_value"]
                if correlation is not None and not correlation.lies_between(*bounds):
                    found.append(rule.expectation.removeprefix("Expect"))
                continue
            if rule.column and rule.bounds:
                values = part[rule.column].to_numpy(dtype=float)
            else:
                continue
            low, high = (rule.settings.get(name) for name in ("min_value", "max_value"))
            beyond = (values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))
            found += [rule.expectation.removeprefix("Expect")] if beyond.any() else []
    return tuple(dict.fromkeys(found))


def _far(contract: Contract, parts: pd.DataFrame, moved: pd.DataFrame) -> Found:
    """Bands, counted, and labels that depart from the emulator by more than the contract's limits."""
    limits = contract.expectations.against
    assert limits is not None
    far = np.any([parts[f"{name}_errors"] > getattr(limits, name) for name in ("rms", "typical", "mean")], axis=0)
    bands = parts.loc[far, "first"].nunique()
    labels = moved.loc[moved["typical"] > moved["label"].map(limits.shift), "label"]
    return (*((f"{bands} of {parts['first'].nunique()} bands",) if bands else ()), *labels)


@dataclass(frozen=True)
class _Pool:
    """Summaries of many good spectra with their departures, and label shifts of some of them, ``sampled``."""

    common: Overlap
    summarised: pd.DataFrame
    found: Departures
    sampled: NDArray[np.int64]
    moved: NDArray[np.float64]
    error: NDArray[np.float64]


def _pool(contract: Contract, emulator: Emulator) -> _Pool:
    """What draws take their parts of."""
    common = overlap(contract, emulator.contract)
    runs = read_intrinsic_grid(embedded_folder(contract, "gate"), contract)
    material = Material.drawn(contract, runs.take(np.arange(RUNS, len(runs.run_id))), emulator, POOL_SEED)
    grid = in_memory(contract, material.rows)
    sampled = np.arange(0, grid.rows, SAMPLED)
    return _Pool(
        common,
        summaries(grid, contract)[0],
        departures(grid, common, emulator.network, emulator.bundle.measured["flux_rms"]),
        sampled,
        *row_shifts(grid, common, emulator.network, emulator.jacobian, sampled),
    )


def _part(summarised: pd.DataFrame, random: np.random.Generator, draw: int) -> NDArray[np.int64]:
    """Rows of a draw: by turns as many runs as the grids with mistakes have, any number of runs, any of the rows."""
    names = summarised["run_id"].unique()
    if draw % 4 == 3:
        return np.sort(random.choice(len(summarised), random.integers(1000, 8000), replace=False))
    count = RUNS if draw % 4 < 2 else random.integers(125, len(names))
    return np.flatnonzero(summarised["run_id"].isin(random.choice(names, count, replace=False)).to_numpy())


if __name__ == "__main__":
    main()
