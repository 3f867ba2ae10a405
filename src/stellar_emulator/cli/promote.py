"""The verb ``promote``: judge a registered pair on the gate set, write the decision down, then move aliases."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stellar_emulator.cli.settings import Promote
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.decide import decide, limits_of
from stellar_emulator.gate.fresh_labels import fresh_seed
from stellar_emulator.gate.page import page
from stellar_emulator.gate.same_contract import departures
from stellar_emulator.grid.store import Grid
from stellar_emulator.promotion.audit import PAGE, RECORD, Link
from stellar_emulator.promotion.candidates import RegisteredPair, choose, load_pair, require_training_noted
from stellar_emulator.promotion.champion import PairVersions, State, read_state
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
from stellar_emulator.system.say import say
from stellar_emulator.validation.validated import require_validated

_REFUSALS_SHOWN = 3


@dataclass(frozen=True)
class Case:
    """A pair as it stands before the gate: the gate set, what serves now, and the decisions made before.

    evaluation: why the spectra are not the contract's gate set, so that no champion moves; empty if they are.
    """

    contract: Contract
    gate: Grid
    pair: PairVersions
    before: State
    links: list[Link]
    dry_run: bool
    evaluation: str
    fresh_runs: int | None


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
    limits_of(contract)
    models = contract.models
    make_folder(options.output)
    with locked(options.output), tracking.start_job("promote", options.output) as job, lease(models.emulator) as lock:
        for done in repair(models, lock):
            say(done)
        links = begin(models, job)
        pair, before = choose(models, options.emulator, options.validator), read_state(models)
        if not options.dry_run:
            require_new_pairing(models, pair)
        gate = _gate_set(options, contract, job)
        evaluation = why_evaluation(options.grid, gate, contract, links, options.output / "grids")
        case = Case(contract, gate, pair, before, links, options.dry_run, evaluation, options.fresh_runs)
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


def _gate_set(options: Promote, contract: Contract, job: TrackedRun) -> Grid:
    """Open the gate set and check it by the contract, which it must obey before anybody is judged on it."""
    gate = open_gate(options.grid, contract, options.output / "grids")
    require_validated(gate, contract, options.output)
    job.log_dataset(contract.name, gate.digest, gate.path, GATE)
    return gate


def _judged(case: Case, job: TrackedRun) -> Outcome:
    """Decide, or refuse at once what is no longer the model that was registered."""
    models = case.contract.models
    try:
        challenger = load_pair(models, case.pair)
        require_training_noted(challenger)
    except InputError as error:
        return _refused_unread(case, job, str(error))
    attempts = sum(link.gate == case.gate.digest for link in case.links)
    evidence = gather(case.contract, case.gate, challenger, attempts)
    # The contract's own seed: nobody can try others until one passes.
    seed = case.contract.sampling.gate_seed
    further = fresh_runs(case.contract, case.gate, attempts, case.fresh_runs) if case.fresh_runs else None
    spectra = judged_spectra(case.gate, seed, further)
    if len(spectra.run_id) < case.gate.rows:
        say(f"judging on {len(spectra.run_id):,} spectra, drawn from the gate set's {case.gate.rows:,} by seed {seed}")
    champion, departed = _champion(case)
    evidence = replace(evidence, departures=tuple(departed))
    fresh = fresh_seed(model.digest for model in challenger.models.values())
    candidate = challenger.candidate()
    extra = [
        fresh_grid_criterion(case.contract, candidate.emulator, fresh),
        *stated_criteria(case.contract, spectra, challenger),
        *serving_criteria(models, challenger),
    ]
    decision = decide(case.contract, spectra, candidate, champion, evidence, seed, extra, fresh)
    content = decision.to_dict()
    computed = [] if further is None else sorted({int(run) for run in further.run_id})
    record = _record(case, job, content, challenger, len(spectra.run_id), computed)
    reasons = [f"{row.section}: {row.name}{f' ({row.note})' if row.note else ''}" for row in decision.refusals]
    reasons += [f"nothing was asked about {section}" for section in decision.unexamined]
    return Outcome(record, page(case.contract, spectra, decision, record), decision.summary(), reasons)


def _champion(case: Case) -> tuple[Candidate | None, list[str]]:
    """The pair that serves now where it can be compared, and what this contract asks less of than the champion's."""
    if case.before.champion is None:
        return None, []
    champion = load_pair(case.contract.models, case.before.champion)
    found = departures(case.contract, champion.emulator.contract)
    comparable = not {"labels", "wavelength"} & set(found)
    return champion.candidate() if comparable else None, found


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
    kinds = [name for name, meant in (("evaluation", case.evaluation), ("dry run", case.dry_run)) if meant]
    return {
        **following("promotion", job, case.links),
        "outcome": ("promoted" if decision["promoted"] else "refused") + (f" ({', '.join(kinds)})" if kinds else ""),
        "evaluation": case.evaluation,
        "dry_run": case.dry_run,
        "contract": {"name": contract.name, "digest": contract.digest},
        "gate": {
            "digest": case.gate.digest,
            "spectra": judged,
            "spectra_in_set": case.gate.rows,
            "fresh_runs": list(fresh),
        },
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
    return f"{case.pair} is champion now; before it: {case.before.champion or 'none'}"
