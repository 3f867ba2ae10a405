"""Finds a model's folder by any of the model's names, for every verb and for both classes.

Names are tried in this order: a folder that holds a model, or a pair in its folders ``emulator`` and ``validator``; the
name of a pair that comes with the package; an address in MLflow; ``latest``, a version or an alias of the contract's
registered model; the name of a registered model, which means its champion, or its newest version where none was
promoted. The validator of a registered emulator is the one that its version's tag names. A folder called ``3`` is
written ``./3``.

A search creates nothing: MLflow is imported only if it must be asked, and a missing store is not made. A folder that
was being replaced when a kill came is put back in its place.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.registry import read, tracking_store
from stellar_emulator.registry.tracking_store import store_failed
from stellar_emulator.saved.bundle import CONTRACT, DESCRIPTION
from stellar_emulator.shipped.resources import DEFAULT, PAIRS, resource
from stellar_emulator.system.extras import named_extras
from stellar_emulator.system.files import recovered

if TYPE_CHECKING:
    # It takes seconds to import.
    from mlflow.entities.model_registry import ModelVersion

Kind = Literal["emulator", "validator"]

SAME = ("same", "paired")
"""Words that mean the validator that belongs to the emulator."""

WAYS = "a folder, such as output/train/models, or an address, such as models:/stellar-emulator@champion"
"""Other names that a message proposes."""

CHAMPION, LATEST = "champion", "latest"

_REGISTRY_ALONE = (CHAMPION, "previous", LATEST)
"""Words that can only mean a registered model."""


@dataclass(frozen=True)
class Found:
    """A model's folder and, if it is a registered one, its version."""

    folder: Path
    version: "ModelVersion | None" = None


def find_model(which: str | Path | None, kind: Kind, contract: str | Path = DEFAULT) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    which
        One of the model's names, as this module's text lists them; None for the pair `DEFAULT` that comes with the
        package.
    kind
        The kind to find. An address or registered name means one model, and is refused if that is of the other kind.
    contract
        Data contract to whose registered models aliases and versions refer: a file, or the name of one that comes with
        the package.

    Raises
    ------
    InputError
        If there is no such model; the message lists the existing ones.
    SetupError
        If only the registry can have it, and the registry can't be reached.
    """
    found = _find(which, kind, contract)
    if kind == "validator" and found.version is not None and _kind_of(found.folder) == "emulator":
        own = found.version.tags.get(read.VALIDATOR_VERSION, "")
        hint = f": its own is version {own} of the validator" if own else ""
        raise InputError(f"{which} holds a model of kind emulator, not validator{hint}")
    return found.folder


def find_pair(
    emulator: str | Path | None, validator: str | Path = SAME[0], contract: str | Path = DEFAULT
) -> tuple[Path, Path]:
    """Find the folders of an emulator and of a validator, by default (`SAME`) its own, like `find_model`."""
    found = _find(emulator, "emulator", contract)
    if validator not in SAME:
        return found.folder, find_model(validator, "validator", contract)
    if _kind_of(found.folder) == "validator":
        raise InputError(f"{emulator} is a validator, and an emulator is wanted: give the emulator, or a pair's folder")
    return found.folder, _validator_of(found).folder


def shipped_names() -> list[str]:
    """Names of the pairs that come with the package."""
    for aside in resource(PAIRS).glob(".*.old"):
        recovered(aside.with_name(aside.name[1:].removesuffix(".old")))
    names = (path.parents[1].name for path in resource(PAIRS).glob(f"*/emulator/{DESCRIPTION}"))
    return sorted(name for name in names if not name.startswith("."))


def shipped_contracts() -> list[Contract]:
    """Data contracts of the pairs that come with the package."""
    return [read_contract(name) for name in shipped_names()]


def _find(which: str | Path | None, kind: Kind, contract: str | Path) -> Found:
    """Find the model that a name means, word by word; it may be of the other kind. Raises as `find_model`."""
    text = DEFAULT if which is None else str(which)
    if not text.strip():
        raise InputError(f"no {kind} is named: give {', '.join(shipped_names())} (with the package), {WAYS}")
    numbered = isinstance(which, str) and (text == LATEST or text.isdecimal())
    if which is not None and not numbered and (folder := _inside(Path(text), kind)):
        return Found(folder)
    if text in shipped_names():
        return Found(resource(PAIRS, text, kind))
    if text.startswith(("models:/", "runs:/")):
        return _at_address(text)
    if isinstance(which, Path) or (text != Path(text).name and _is_folder(text)):
        return Found(Path(text))  # Loading it reports what it lacks.
    if text in _REGISTRY_ALONE or text.isdecimal():
        return _of_contract(text, kind, contract)
    try:
        return _by_word(text, kind, contract)
    except InputError:
        if not _is_folder(text):
            raise
        return Found(Path(text))  # Loading it reports what it lacks.


def _inside(folder: Path, kind: Kind) -> Path | None:
    """The folder of a model, or the part of a pair's folder; None if there is neither."""
    try:
        found = (recovered(one) for one in (folder, folder / kind))
        return next((one for one in found if (one / DESCRIPTION).is_file()), None)
    except (OSError, ValueError):  # a text too long for a name, say
        return None


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):
        return False


def _kind_of(folder: Path) -> str:
    """The kind of model that a folder states to hold; empty if it states none, which loading then reports."""
    try:
        return str(json.loads((folder / DESCRIPTION).read_bytes())["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _validator_of(emulator: Found) -> Found:
    """The validator that makes a pair with an emulator: of a registered one by its tag, else the folder beside it."""
    if emulator.version is None:
        folder = emulator.folder.resolve()
        beside = recovered(folder.with_name("validator"))
        if folder.name != "emulator" or not (beside / DESCRIPTION).is_file():
            raise InputError(
                f"{emulator.folder} has no validator beside it: give a pair's folder, or its own --validator"
            )
        return Found(beside)
    named = emulator.version.tags.get(read.VALIDATOR_VERSION, "")
    if not named.isdecimal():
        raise InputError(
            f"{emulator.version.name} version {emulator.version.version} names no validator: give one with --validator"
        )
    # Not `read_contract`: what models carry needn't obey what is asked of contracts today.
    models = parse_contract((emulator.folder / CONTRACT).read_text(encoding="utf-8"), str(emulator.folder)).models
    try:
        return _registered(read.find_version(models.validator, named))
    except InputError as error:
        raise InputError(
            f"{emulator.version.name} version {emulator.version.version} names version {named} of {models.validator} "
            f"as its validator, but {error}: give one with --validator"
        ) from error


def _registered(version: "ModelVersion") -> Found:
    return Found(read.bundle_of(version), version)


@named_extras()
def _at_address(address: str) -> Found:
    if version := read.version_at(address):
        return _registered(version)
    return Found(read.resolve("", address))


@named_extras()
def _of_contract(which: str, kind: Kind, contract: str | Path) -> Found:
    """``latest``, a version or an alias of a contract's registered model.

    An alias is looked up on the emulator first, whose tag then names the validator: this alias alone points to a pair.
    """
    models = read_contract(contract).models
    if kind == "validator" and which != LATEST and not which.isdecimal():
        pair = read.aliased(models.emulator, which)
        if pair is not None and pair.tags.get(read.VALIDATOR_VERSION):
            return _validator_of(_registered(pair))
    return _registered(read.find_version(getattr(models, kind), which))


def _by_word(word: str, kind: Kind, contract: str | Path) -> Found:
    """An alias of the contract's model, or the name of a registered one. Raises `InputError` if it is neither."""
    missing = (
        f"{word} is no model's folder and no model of that name comes with this package (it has "
        f"{', '.join(shipped_names()) or 'none'})"
    )
    try:
        with named_extras():
            registered = read.registered_names()
        if not registered:
            _refuse(f"{missing}: give {WAYS}; no model is registered in {tracking_store.store_address()}")
    except SetupError as error:
        if store_failed(error):
            raise
        raise InputError(f"{missing}: give {WAYS}; the registry can't be asked: {error}") from error
    if word in registered:
        return _registered(read.aliased(word, CHAMPION) or read.find_version(word, LATEST))
    models = read_contract(contract).models
    name = getattr(models, kind)
    if any(read.aliased(one, word) for one in {models.emulator, name}):
        return _of_contract(word, kind, contract)
    if name not in registered:
        _refuse(f"{missing}: give {WAYS}; registered in {tracking_store.store_address()}: {', '.join(registered)}")
    try:
        return _registered(read.find_version(name, word))
    except InputError as error:
        raise InputError(f"{missing}, and {error}; registered there: {', '.join(registered)}") from error


def _refuse(message: str) -> NoReturn:
    raise InputError(message)
