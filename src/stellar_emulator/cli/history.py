"""The verb ``history``: who was champion, since when and why; changes nothing."""

from stellar_emulator.cli.settings import History
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.promotion.agreement import disagreements
from stellar_emulator.promotion.audit import Link, trail
from stellar_emulator.promotion.champion import PairVersions, aliases_of, read_state
from stellar_emulator.promotion.repair import require_sound
from stellar_emulator.registry import tracking_store


def run(options: History) -> None:
    """Print the chain of decisions, oldest first, and the pairs that serve now and served before.

    Raises
    ------
    RefusedError
        If ``verify`` was asked for and a decision is not as it was written, a run says of itself that it is one, or
        the registry is not as the decisions left it.
    """
    models = read_contract(options.contract).models
    tracking_store.connect_to_read(models.emulator)
    aliases_of(models)
    known = trail(models.emulator)
    links = known.links
    for link in links:
        print(_line(link))
    unfinished = [link for link in links if link.moves and not link.finished]
    waiting = [known.waiting] if known.waiting else unfinished[-1:]
    for link in waiting:
        print(f"decision {link.number} was interrupted: the next promote or rollback carries it out")
    if options.verify:
        require_sound(models, known)
        _require_agreement(known.strangers + disagreements(models, links))
        print(f"{len(links)} decisions, each as it was written: every one holds the SHA-256 of the one before")
    state = read_state(models)
    print(f"champion: {state.champion or 'none'}; before it: {state.previous or 'none'}")


def _require_agreement(found: list[str]) -> None:
    if found:
        raise RefusedError(
            f"what serves is not what the decisions say: {'; '.join(found)}. Set it right by hand, or promote again"
        )


def _line(link: Link) -> str:
    """A decision for people; what a terminal would take for a command is left out of it."""
    return "".join(sign if sign.isprintable() else "?" for sign in _said(link))


def _said(link: Link) -> str:
    try:
        content = link.content()
    except InputError:
        return f"{link.number:>4}  {link.outcome:<22}its record is missing or damaged  run {link.run_id}"
    try:
        after = content["after"]
        served = PairVersions(**(after["champion"] if after else content["pair"]))
        reason = f"  ({content['reason']})" if "reason" in content else ""
        made = f"{content['time']}  {link.outcome:<22}{served!s:<32}{content['who']}"
    except (KeyError, TypeError, AttributeError):
        return f"{link.number:>4}  {link.outcome:<22}its record is damaged  run {link.run_id}"
    return f"{link.number:>4}  {made}  run {link.run_id}{reason}"
