"""The verb ``promote``: judge a registered pair on the gate set, write the decision down, then move aliases.

Where the contract has no gate, the pair is judged on its own grid, at runs held out of training.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stellar_emulator.cli.observations import listed_files
from stellar_emulator.cli.settings import Promote
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.gate.decide import decide
from stellar_emulator.gate.decision import Decision
from stellar_emulator.gate.fresh_labels import fresh_seed
from stellar_emulator.gate.observed import Observed, figures, told, with_observed
from stellar_emulator.gate.page import page, page_without_gate
from stellar_emulator.gate.same_contract import departures
from stellar_emulator.grid.source import Source
from stellar_emulator.promotion.audit import PAGE, RECORD, Link
from stellar_emulator.promotion.candidates import RegisteredPair, choose, load_pair, require_training_noted
from stellar_emulator.promotion.champion import PairVersions, State, note_judged, read_state
from stellar_emulator.promotion.decisions import begin, following, keep, require_new_pairing
from stellar_emulator.promotion.fresh_grid import fresh_grid_criterion
from stellar_emulator.promotion.fresh_runs import fresh_runs
from stellar_emulator.promotion.gate_set import GATE, judged_spectra, open_gate, why_evaluation
from stellar_emulator.promotion.gather_evidence import gather
from stellar_emulator.promotion.lease import lease
from stellar_emulator.promotion.observed_shift import observed_shift
from stellar_emulator.promotion.repair import repair
from stellar_emulator.promotion.serves import serving_criteria
from stellar_emulator.promotion.stated_errors import stated_criteria
from stellar_emulator.registry import tracking
from stellar_emulator.registry.tracking import TrackedRun
from stellar_emulator.survey.chunks import Dataset, dataset_of
from stellar_emulator.system.extras import named_extras
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.system.quiet_import import quietly_imported
from stellar_emulator.system.say import say
from stellar_emulator.validation.validated import require_validated

_REFUSALS_SHOWN = 3

_CHUNK = 512
"""Rows of a Parquet file that are read at once at most."""


@dataclass(frozen=True)
class Case:
    """A pair as it stands before the gate: the gate set, what serves now, and the decisions made before.

    source: the gate set, or the pair's own grid if the contract has no gate. evaluation: why the spectra are not the
    contract's gate set, so that no champion moves; empty if they are. observed, place: a user's own spectra, and what
    they call them; None without any.
    """

    contract: Contract
    source: Source
    pair: PairVersions
    before: State
    links: list[Link]
    dry_run: bool
    evaluation: str
    fresh_runs: int | None
    observed: Dataset | None
    place: str

    @property
    def gated(self) -> bool:
        """Whether the contract has a gate."""
        return self.contract.gate is not None


@dataclass(frozen=True)
class Rivals:
    """The challenger, the champion where it can be compared, what the contract asks less of than the champion's, and
    what both make of observed spectra, if there are any."""

    challenger: RegisteredPair
    champion: RegisteredPair | None
    departures: list[str]
    observed: Observed | None


@dataclass(frozen=True)
class Outcome:
    """record, page: of ``decision.json`` and ``decision.html``; summary: for the terminal; reasons: of a refusal."""

    record: dict[str, Any]
    page: str | None
    summary: str
    reasons: list[str]


def run(options: Promote) -> None:
    """Promote a pair or refuse it; either way the decision is kept, as a run of its own and in ``output``.

    Raises
    ------
    RefusedError
        If the pair is refused.
    """
    contract = read_contract(options.contract)
    _require_spectra(options, contract)
    observed = _observed_at(options.observed)
    models = contract.models
    make_folder(options.output)
    with locked(options.output), tracking.start_job("promote", options.output) as job, lease(models.emulator) as lock:
        for done in repair(models, lock):
            say(done)
        links = begin(models, job)
        pair, before = choose(models, options.emulator, options.validator), read_state(models)
        if not options.dry_run:
            require_new_pairing(models, pair)
        _require_observed(contract, before, observed)
        source = _spectra(options, contract, job)
        evaluation = ""
        if contract.gate is not None:
            evaluation = why_evaluation(options.grid, source.grid, contract, links, options.output / "grids")
        fresh, dry = options.fresh_runs, options.dry_run
        case = Case(contract, source, pair, before, links, dry, evaluation, fresh, observed, str(options.observed))
        outcome = _judged(case, job)
        keep(models, job, outcome.record, outcome.page, options.output, lock)
    print(outcome.summary)
    print(f"\ndecision: {options.output / RECORD}, for people: {options.output / PAGE}")
    if outcome.reasons:
        more = len(outcome.reasons) - _REFUSALS_SHOWN
        shown = "; ".join(outcome.reasons[:_REFUSALS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise RefusedError(f"{pair} is refused: {shown}")
    if case.evaluation and not case.dry_run:
        raise RefusedError(
            f"{pair} met every criterion, but this is an evaluation, which moves no champion: {case.evaluation}"
        )
    print(_promoted(case))


def _require_spectra(options: Promote, contract: Contract) -> None:
    """Return if there are spectra to judge on. Raises `InputError` if the contract has no gate and no grid is named."""
    if contract.gate is not None:
        return
    if options.grid == GATE:
        raise InputError(
            f"contract {contract.name} has no section gate, and so no gate set: name the grid that the pair was "
            "trained on with --grid, and it is judged by cross-validation over runs; or state limits in that section"
        )
    if options.fresh_runs:
        raise InputError(f"--fresh_runs adds runs to a gate set, and contract {contract.name} has no section gate")


def _observed_at(place: Path | None) -> Dataset | None:
    """Observed spectra, each alone; None without any. Raises `InputError` if nothing there can hold spectra."""
    if place is None:
        return None
    with named_extras():
        return dataset_of(listed_files([place]), _CHUNK, together=False)


def _require_observed(contract: Contract, before: State, observed: Dataset | None) -> None:
    """Return if there are observed spectra where the contract limits how far a champion's labels may move on them."""
    if observed is None and before.champion is not None and contract.gate is not None and contract.gate.observed:
        raise InputError(
            f"contract {contract.name} limits how far labels may move on observed spectra (gate.observed): give some "
            "with --observed"
        )


def _spectra(options: Promote, contract: Contract, job: TrackedRun) -> Source:
    """Open the gate set, or the pair's own grid, and check it by the contract, which it must obey before anybody is
    judged on it."""
    source = open_gate(options.grid, contract, options.output / "grids")
    require_validated(source.grid, contract, options.output)
    context = "training" if contract.gate is None else GATE
    job.log_dataset(contract.name, source.grid.digest, source.grid.path, context)
    return source


def _judged(case: Case, job: TrackedRun) -> Outcome:
    """Decide, or refuse at once what is no longer the model that was registered."""
    try:
        challenger = load_pair(case.contract.models, case.pair)
        require_training_noted(challenger)
    except InputError as error:
        return _refused_unread(case, job, str(error))
    champion, departed = _champion(case)
    rivals = Rivals(challenger, champion, departed, _observed(case, challenger, champion, job))
    return (_by_gate if case.gated else _without_gate)(case, rivals, job)


def _observed(
    case: Case, challenger: RegisteredPair, champion: RegisteredPair | None, job: TrackedRun
) -> Observed | None:
    """What both pairs make of the observed spectra; None without any. Raises `InputError` if none can be used."""
    if case.observed is None:
        return None
    job.log_dataset(case.contract.name, case.observed.digest, Path(case.place), "observed")
    with named_extras():
        found = observed_shift(case.observed, case.place, challenger, champion)
    say(told(found.settings))
    return found


def _decided(case: Case, decision: Decision, rivals: Rivals, job: TrackedRun) -> Decision:
    """The decision with what observed spectra say, which becomes metrics of its run too."""
    if rivals.observed is None:
        return decision
    whole = with_observed(case.contract, decision, rivals.observed)
    job.log_metrics(figures(whole))
    return whole


def _by_gate(case: Case, rivals: Rivals, job: TrackedRun) -> Outcome:
    """Decide on the contract's gate set."""
    gate, challenger, champion = case.source.grid, rivals.challenger, rivals.champion
    attempts = sum(link.gate == gate.digest for link in case.links)
    evidence = gather(case.contract, gate, challenger, attempts)
    # The contract's own seed: nobody can try others until one passes.
    seed = case.contract.sampling.gate_seed
    further = fresh_runs(case.contract, gate, attempts, case.fresh_runs) if case.fresh_runs else None
    spectra = judged_spectra(gate, seed, further)
    if len(spectra.run_id) < gate.rows:
        say(f"judging on {len(spectra.run_id):,} spectra, drawn from the gate set's {gate.rows:,} by seed {seed}")
    evidence = replace(evidence, departures=tuple(rivals.departures))
    fresh = fresh_seed(model.digest for model in challenger.models.values())
    candidate = challenger.candidate()
    extra = [
        fresh_grid_criterion(case.contract, candidate.emulator, fresh),
        *stated_criteria(case.contract, spectra, challenger),
        *serving_criteria(case.contract.models, challenger),
    ]
    serving = champion.candidate() if champion else None
    decision = decide(case.contract, spectra, candidate, serving, evidence, seed, extra, fresh)
    decision = _decided(case, decision, rivals, job)
    computed = [] if further is None else sorted({int(run) for run in further.run_id})
    record = _record(case, job, decision.to_dict(), challenger, len(spectra.run_id), computed)
    return _outcome(decision, record, page(case.contract, spectra, decision, record))


def _without_gate(case: Case, rivals: Rivals, job: TrackedRun) -> Outcome:
    """Decide by errors at runs held out of a training, since the contract has no gate."""
    held_out = quietly_imported("stellar_emulator.promotion.held_out")
    challenger = rivals.challenger
    before = sum(link.kind == "promotion" and not link.gate for link in case.links)
    judged = held_out.Judged(case.contract, case.source, challenger, rivals.champion, rivals.departures, before)
    decision: Decision = held_out.decide_by_held_out(judged, serving_criteria(case.contract.models, challenger))
    rows = decision.tables["held_out"]
    job.log_metrics({f"held_out.{row['of']}.{row['where']}.mae".replace(" ", "_"): row["mae"] for row in rows})
    decision = _decided(case, decision, rivals, job)
    record = _record(case, job, decision.to_dict(), challenger, case.source.grid.rows)
    note_judged(case.contract.models, case.pair, job, f"{decision.basis}; no gate")
    return _outcome(decision, record, page_without_gate(case.contract, decision, record))


def _outcome(decision: Decision, record: dict[str, Any], text: str) -> Outcome:
    reasons = [f"{row.section}: {row.name}{f' ({row.note})' if row.note else ''}" for row in decision.refusals]
    reasons += [f"nothing was asked about {section}" for section in decision.unexamined]
    return Outcome(record, text, decision.summary(), reasons)


def _champion(case: Case) -> tuple[RegisteredPair | None, list[str]]:
    """The pair that serves now where it can be compared, and what this contract asks less of than the champion's."""
    if case.before.champion is None:
        return None, []
    champion = load_pair(case.contract.models, case.before.champion)
    found = departures(case.contract, champion.emulator.contract)
    comparable = not {"labels", "wavelength"} & set(found)
    return champion if comparable else None, found


def _refused_unread(case: Case, job: TrackedRun, reason: str) -> Outcome:
    record = _record(case, job, {"promoted": False, "reason": reason}, None, 0)
    return Outcome(record, None, f"not judged: {reason}", [reason])


def _record(
    case: Case,
    job: TrackedRun,
    decision: dict[str, Any],
    challenger: RegisteredPair | None,
    judged: int,
    fresh: Sequence[int] = (),
) -> dict[str, Any]:
    """What ``decision.json`` holds; ``judged``: how many spectra were judged on; ``fresh``: runs computed for it."""
    contract, stays = case.contract, case.dry_run or bool(case.evaluation) or case.pair == case.before.champion
    moves = decision["promoted"] and not stays
    possible = (("no gate", not case.gated), ("evaluation", case.evaluation), ("dry run", case.dry_run))
    kinds = [name for name, meant in possible if meant]
    grid = case.source.grid
    if case.gated:
        spectra: dict[str, Any] = {
            "digest": grid.digest,
            "spectra": judged,
            "spectra_in_set": grid.rows,
            "fresh_runs": list(fresh),
        }
    else:
        spectra = {"digest": grid.digest, "spectra_in_set": grid.rows}
    return {
        **following("promotion", job, case.links),
        "outcome": ("promoted" if decision["promoted"] else "refused") + (f" ({', '.join(kinds)})" if kinds else ""),
        "evaluation": case.evaluation,
        "dry_run": case.dry_run,
        "contract": {"name": contract.name, "digest": contract.digest},
        # The name "gate" is kept for gate sets: a later gate must not take this grid for one.
        GATE if case.gated else "grid": spectra,
        "models": contract.models.model_dump(),
        "pair": asdict(case.pair),
        "digests": {name: model.digest for name, model in challenger.models.items()} if challenger else {},
        "before": case.before.to_dict(),
        "after": State(case.pair, case.before.champion).to_dict() if moves else None,
        **decision,
    }


def _promoted(case: Case) -> str:
    if case.evaluation:
        return f"{case.pair} met every criterion of an evaluation, which moves no champion: {case.evaluation}"
    if case.dry_run:
        return f"{case.pair} would be promoted; nothing was changed (dry run)"
    if case.pair == case.before.champion:
        return f"{case.pair} is champion already, and rightly so; nothing was changed"
    gate = "" if case.gated else ", promoted without a gate"
    return f"{case.pair} is champion now{gate}; before it: {case.before.champion or 'none'}"
