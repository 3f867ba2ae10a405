"""The outcome of a search: verdicts, the front of error against cost, and the point chosen on it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stellar_emulator.errors import RefusedError
from stellar_emulator.tuning.trial import TrialResult, TrialVerdict, read_result

TIE = 0.02
"""Errors that differ by less than this share count as equal, and the cheaper network is chosen."""


@dataclass(frozen=True)
class SearchOutcome:
    """All trials that ended, in their order; the front, cheapest first; and the chosen trial."""

    trials: tuple[TrialResult, ...]
    front: tuple[TrialResult, ...]
    chosen: TrialResult

    def given(self, origin: str) -> TrialResult | None:
        """The trial of a given preset, if it was trained."""
        found = [trial for trial in self.trials if trial.origin == origin and trial.figures is not None]
        return found[0] if found else None


def read_trials(folder: Path, order: Iterable[str]) -> tuple[TrialResult, ...]:
    """Results of the trials in a search's folder, in order of ids; those from which later trials continued are
    promoted."""
    found = [read_result(folder / f"trial_{trial}") for trial in order]
    ended = [result for result in found if result is not None]
    continued = {result.earlier for result in ended}
    return tuple(_promoted(result) if result.trial in continued else result for result in ended)


def _promoted(result: TrialResult) -> TrialResult:
    verdict: TrialVerdict = "promoted"
    return replace(result, verdict=verdict)


def find_outcome(trials: Sequence[TrialResult]) -> SearchOutcome:
    """Find front and choice among trials.

    Raises
    ------
    RefusedError
        If all of them failed.
    """
    trained = [trial for trial in trials if trial.figures is not None]
    if not trained:
        reason = trials[-1].reason if trials else "none was begun"
        raise RefusedError(f"none of {len(trials)} trials could be trained; the last one: {reason}")
    front = pareto_front(trained)
    best = min(_error(trial) for trial in front)
    # The error falls along the front as the cost rises, so the first within a tie is the cheapest.
    chosen = next(trial for trial in front if _error(trial) <= (1.0 + TIE) * best)
    return SearchOutcome(tuple(trials), front, chosen)


def pareto_front(trials: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
    """Trials that no other trial beats in both error and milliseconds, cheapest first."""
    front: list[TrialResult] = []
    for trial in sorted(trials, key=lambda trial: (_cost(trial), _error(trial))):
        if not front or _error(trial) < _error(front[-1]):
            front.append(trial)
    return tuple(front)


def table_rows(outcome: SearchOutcome) -> list[dict[str, object]]:
    """One flat row per trial, for a file."""
    front = {trial.trial for trial in outcome.front}
    return [
        {
            "trial": trial.trial,
            "origin": trial.origin,
            "verdict": trial.verdict,
            "on_front": trial.trial in front,
            "chosen": trial.trial == outcome.chosen.trial,
            **(asdict(trial.figures) if trial.figures else {}),
            "seconds": trial.seconds,
            "fit_seconds": trial.fit_seconds,
            "earlier": trial.earlier,
            "reason": trial.reason,
            **{name: value for name, value in trial.values.items() if not name.startswith("tuner/")},
        }
        for trial in outcome.trials
    ]


def outcome_table(outcome: SearchOutcome) -> str:
    """The table for readers: the given presets and the front, the chosen point marked."""
    head = (
        f"{'trial':<8}{'preset':<10}{'family':<9}{'verdict':<11}{'MAE':>10}{'hard':>10}{'cores':>10}{'ms':>8}"
        f"{'weights':>12}{'minutes':>9}"
    )
    shown = {trial.trial: trial for trial in (*_given(outcome), *outcome.front)}
    return "\n".join([head, *(_line(trial, outcome.chosen) for trial in shown.values())])


def summary(outcome: SearchOutcome) -> str:
    """The gain of the search, in one line for each given preset."""
    lines = []
    for trial in _given(outcome):
        gain = _error(outcome.chosen) / _error(trial)
        lines.append(f"the chosen trial's flux MAE is {gain:.2g} times that of preset {trial.origin} (same time cap)")
    counts = {verdict: sum(trial.verdict == verdict for trial in outcome.trials) for verdict in _VERDICTS}
    lines.append(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
    return "\n".join(lines)


_VERDICTS: tuple[TrialVerdict, ...] = ("completed", "pruned", "promoted", "failed")


def _given(outcome: SearchOutcome) -> list[TrialResult]:
    return [trial for trial in outcome.trials if trial.origin != "searched" and trial.figures is not None]


def _line(trial: TrialResult, chosen: TrialResult) -> str:
    figures = trial.figures
    assert figures is not None
    mark = "  <- chosen" if trial.trial == chosen.trial else ""
    errors = f"{figures.mae:>10.2e}{figures.hard_mae:>10.2e}{figures.core_mae:>10.2e}{figures.milliseconds:>8.2f}"
    names = f"{trial.trial:<8}{trial.origin:<10}{trial.preset.family:<9}{trial.verdict:<11}"
    return f"{names}{errors}{figures.multiply_adds:>12,}{trial.seconds / 60.0:>9.1f}{mark}"


def _error(trial: TrialResult) -> float:
    assert trial.figures is not None
    return trial.figures.mae


def _cost(trial: TrialResult) -> float:
    assert trial.figures is not None
    return trial.figures.milliseconds
