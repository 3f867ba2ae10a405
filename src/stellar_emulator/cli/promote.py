"""The verb ``promote``: judge a registered pair on the gate set, write the decision down, then move aliases.

Where the contract has no gate, the pair is judged on its own grid, at runs held out of training.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stellar_emulator.cli.settings import Promote
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.gate.decide import decide
from stellar_emulator.gate.decision import Decision
from stellar_emulator.gate.fresh_labels import fresh_seed
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
from stellar_emulator.promotion.repair import repair
from stellar_emulator.promotion.serves import serving_criteria
from stellar_emulator.promotion.stated_errors import stated_criteria
from stellar_emulator.registry import tracking
from stellar_emulator.registry.tracking import TrackedRun
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.system.quiet_import import quietly_imported
from stellar_emulator.system.say import say
from stellar_emulator.validation.validated import require_validated

_REFUSALS_SHOWN = 3


@dataclass(frozen=True)
class Case:
    """A pair as it stands before the gate: the gate set, what serves now, and the decisions made before.

    source: the gate set, or the pair's own grid if the contract has no gate. evaluation: why the spectra are not the
    contract's gate set, so that no champion moves; empty if they are.
    """

    contract: Contract
    source: Source
    pair: PairVersions
    before: State
    links: list[Link]
    dry_run: bool
    evaluation: str
    fresh_runs: int | None

    @property
    def gated(self) -> bool:
        """Whether the contract has a gate."""
        return self.contract.gate is not None


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
    models = contract.models
    make_folder(options.output)
    with locked(options.output), tracking.start_job("promote", options.output) as job, lease(models.emulator) as lock:
        for done in repair(models, lock):
            say(done)
        links = begin(models, job)
        pair, before = choose(models, options.emulator, options.validator), read_state(models)
        if not options.dry_run:
            require_new_pairing(models, pair)
        source = _spectra(options, contract, job)
        evaluation = ""
        if contract.gate is not None:
            evaluation = why_evaluation(options.grid, source.grid, contract, links, options.output / "grids")
        case = Case(contract, source, pair, before, links, options.dry_run, evaluation, options.fresh_runs)
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
    return (_by_gate if case.gated else _without_gate)(case, challenger, job)


def _by_gate(case: Case, challenger: RegisteredPair, job: TrackedRun) -> Outcome:
    """Decide on the contract's gate set."""
    gate = case.source.grid
    attempts = sum(link.gate == gate.digest for link in case.links)
    evidence = gather(case.contract, gate, challenger, attempts)
    # The contract's own seed: nobody can try others until one passes.
    seed = case.contract.sampling.gate_seed
    further = fresh_runs(case.contract, gate, attempts, case.fresh_runs) if case.fresh_runs else None
    spectra = judged_spectra(gate, seed, further)
    if len(spectra.run_id) < gate.rows:
        say(f"judging on {len(spectra.run_id):,} spectra, drawn from the gate set's {gate.rows:,} by seed {seed}")
    champion, departed = _champion(case)
    evidence = replace(evidence, departures=tuple(departed))
    fresh = fresh_seed(model.digest for model in challenger.models.values())
    candidate = challenger.candidate()
    extra = [
        fresh_grid_criterion(case.contract, candidate.emulator, fresh),
        *stated_criteria(case.contract, spectra, challenger),
        *serving_criteria(case.contract.models, challenger),
    ]
    serving = champion.candidate() if champion else None
    decision = decide(case.contract, spectra, candidate, serving, evidence, seed, extra, fresh)
    computed = [] if further is None else sorted({int(run) for run in further.run_id})
    record = _record(case, job, decision.to_dict(), challenger, len(spectra.run_id), computed)
    return _outcome(decision, record, page(case.contract, spectra, decision, record))


def _without_gate(case: Case, challenger: RegisteredPair, job: TrackedRun) -> Outcome:
    """Decide by errors at runs held out of a training, since the contract has no gate."""
    held_out = quietly_imported("stellar_emulator.promotion.held_out")
    champion, departed = _champion(case)
    before = sum(link.kind == "promotion" and not link.gate for link in case.links)
    judged = held_out.Judged(case.contract, case.source, challenger, champion, departed, before)
    decision: Decision = held_out.decide_by_held_out(judged, serving_criteria(case.contract.models, challenger))
    told = decision.tables["held_out"]
    job.log_metrics({f"held_out.{row['of']}.{row['where']}.mae".replace(" ", "_"): row["mae"] for row in told})
    record = _record(case, job, decision.to_dict(), challenger, case.source.grid.rows)
    note_judged(case.contract.models, case.pair, job, f"{decision.basis}; no gate")
    return _outcome(decision, record, page_without_gate(case.contract.name, decision, record))


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
    told = (("no gate", not case.gated), ("evaluation", case.evaluation), ("dry run", case.dry_run))
    kinds = [name for name, meant in told if meant]
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
