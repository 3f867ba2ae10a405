"""The verb ``rollback``: give the alias back to the pair that was champion before, and keep the reason."""

from stellar_emulator.cli.settings import Rollback
from stellar_emulator.contract.contract import ModelNames, read_contract
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.promotion.agreement import judged, noted_digests
from stellar_emulator.promotion.audit import Link
from stellar_emulator.promotion.candidates import RegisteredPair, load_pair
from stellar_emulator.promotion.champion import PairVersions, State, read_state
from stellar_emulator.promotion.decisions import begin, following, keep
from stellar_emulator.promotion.lease import lease
from stellar_emulator.promotion.repair import repair
from stellar_emulator.registry import tracking
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.system.say import say


def run(options: Rollback) -> None:
    """Restore the previous pair.

    Raises
    ------
    InputError
        If there is none, or its files are not what was registered.
    RefusedError
        If no decision promoted that pair.
    """
    contract = read_contract(options.contract)
    models = contract.models
    make_folder(options.output)
    with locked(options.output), tracking.start_job("rollback", options.output) as job, lease(models.emulator) as lock:
        for done in repair(models, lock):
            say(done)
        before, links = read_state(models), begin(models, job)
        if before.champion is None or before.previous is None:
            raise InputError(f"{models.emulator} has no pair to go back to: champion is {before.champion or 'none'}")
        restored = load_pair(models, before.previous)
        _require_judged(links, restored)
        record = {
            **following("rollback", job, links),
            "outcome": "rolled back",
            "reason": options.reason,
            "models": models.model_dump(),
            "digests": {name: model.digest for name, model in restored.models.items()},
            "before": before.to_dict(),
            "after": State(before.previous, _before(models, before.previous, links)).to_dict(),
        }
        keep(models, job, record, None, options.output, lock)
    print(f"{before.previous} is champion again, instead of {before.champion}: {options.reason}")


def _require_judged(links: list[Link], restored: RegisteredPair) -> None:
    """Return if a pair is one that was promoted, its models unchanged since. Raises `RefusedError` if it isn't."""
    decision = judged(links, restored.pair)
    if decision is None:
        raise RefusedError(
            f"the alias previous points to {restored.pair}, which no decision promoted: it was moved by hand; promote "
            "the pair that you want"
        )
    digests = {name: model.digest for name, model in restored.models.items()}
    noted = noted_digests(decision)
    changed = sorted(name for name in digests if name in noted and digests[name] != noted[name])
    if changed:
        raise RefusedError(f"{changed[0]} of {restored.pair} is another model than {decision} was made on: promote it")


def _before(models: ModelNames, pair: PairVersions, links: list[Link]) -> PairVersions | None:
    """What was champion before a pair was promoted, so that a second rollback goes further back and not forth."""
    for link in reversed(links):
        if link.moves and link.kind == "promotion":
            after = State.from_dict(link.content()["after"])
            if after.champion == pair:
                return after.previous
    return None
