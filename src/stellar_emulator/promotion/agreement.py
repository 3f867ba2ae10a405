"""Whether what serves is what the chain of decisions says: aliases, the validator that a tag names, digests, files."""

from collections.abc import Iterator, Mapping
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.errors import InputError
from stellar_emulator.promotion.audit import Link
from stellar_emulator.promotion.champion import CHAMPION, PREVIOUS, PairVersions, State, moves_of
from stellar_emulator.registry.read import BUNDLE, JUDGE, VALIDATOR_VERSION, digest_tag, resolve_judges
from stellar_emulator.saved.bundle import read_bundle


def disagreements(models: ModelNames, links: list[Link]) -> list[str]:
    """What of the registry differs from what the decisions say, one line each; the links must be sound.

    Where the newest decision that moves aliases was interrupted, both what served before and after it are right.

    Raises
    ------
    SetupError
        If the registry does not answer.
    """
    allowed = _allowed(links)
    found = list(_aliases(models, allowed))
    pairs = {pair for state in allowed for pair in (state.champion, state.previous) if pair}
    for pair in sorted(pairs, key=lambda pair: (pair.emulator, pair.validator)):
        decision = judged(links, pair)
        if decision is None:
            found.append(f"no decision promoted {pair}")
        else:
            found += _pair(models, pair, decision)
    return found


def judged(links: list[Link], pair: PairVersions) -> Link | None:
    """The newest promotion of a pair; None if there is none."""
    for link in reversed(links):
        if link.moves and link.kind == "promotion" and moves_of(link)[1].champion == pair:
            return link
    return None


def noted_digests(link: Link) -> dict[str, str]:
    """Digests of the models that a decision was made on, by what people call them."""
    digests: Mapping[str, Any] = link.content().get("digests") or {}
    return {str(name): str(value) for name, value in digests.items()}


def _allowed(links: list[Link]) -> list[State]:
    """The states that the decisions allow: one, but two after an interrupted one."""
    state = State(None, None)
    for link in (link for link in links if link.moves):
        before, after = moves_of(link)
        if link.ended == "yes":
            state = after
        elif not link.finished and link is [one for one in links if one.moves][-1]:
            return [before, after, State(after.champion, before.previous)]
    return [state]


def _aliases(models: ModelNames, allowed: list[State]) -> Iterator[str]:
    client = mlflow.MlflowClient()
    for alias in (CHAMPION, PREVIOUS):
        pairs = [getattr(state, alias) for state in allowed]
        for name in ("emulator", "validator"):
            model = getattr(models, name)
            stands = _aliased(client, model, alias)
            wanted = [getattr(pair, name) if pair else None for pair in pairs]
            if stands not in wanted:
                yield (
                    f"the alias {alias} of {model} points to {_version(stands)}, and the decisions say "
                    f"{_version(wanted[-1])}"
                )


def _aliased(client: mlflow.MlflowClient, model: str, alias: str) -> int | None:
    try:
        version = client.get_registered_model(model).aliases.get(alias)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return None if version is None else int(version)


def _version(number: int | None) -> str:
    return "none" if number is None else f"version {number}"


def _pair(models: ModelNames, pair: PairVersions, decision: Link) -> Iterator[str]:
    """What differs of a promoted pair: the tag that makes it one, and the models themselves."""
    client = mlflow.MlflowClient()
    noted = noted_digests(decision)
    judges = {name.replace(" ", "_"): digest for name, digest in noted.items() if name.startswith("judge ")}
    for name, number, wanted in (
        (models.emulator, pair.emulator, {BUNDLE: noted.get("emulator")}),
        (models.validator, pair.validator, {BUNDLE: noted.get("validator"), **judges}),
    ):
        try:
            tags = client.get_model_version(name, str(number)).tags
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            yield f"{name} version {number} is gone, and {decision} promoted it"
            continue
        if name == models.emulator and tags.get(VALIDATOR_VERSION) != str(pair.validator):
            yield (
                f"the tag {VALIDATOR_VERSION} of {name} version {number} says "
                f"{tags.get(VALIDATOR_VERSION, 'nothing')[:40]!r}, and {decision} says {pair.validator}"
            )
        expected = {artifact: digest for artifact, digest in wanted.items() if digest}
        differing = [artifact for artifact, digest in expected.items() if tags.get(digest_tag(artifact)) != digest]
        for artifact in differing:
            yield (
                f"the tag {digest_tag(artifact)} of {name} version {number} says "
                f"{tags.get(digest_tag(artifact), 'nothing')[:12]}..., and {decision} says {expected[artifact][:12]}..."
            )
        if expected and not differing:
            yield from _files(name, number, expected)


def _files(name: str, number: int, expected: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the files of a version whose tags are right."""
    try:
        folders = resolve_judges(name, str(number), afresh=True)
        found = [read_bundle(folder).digest for folder in folders]
    except InputError as error:
        yield f"{name} version {number}: {error}"
        return
    order = [BUNDLE, *sorted((one for one in expected if one.startswith(JUDGE)), key=lambda one: (len(one), one))]
    if found != [expected[artifact] for artifact in order]:
        yield f"{name} version {number} holds other models than were judged"
