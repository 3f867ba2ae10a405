"""Finds a model's folder by whatever a user calls it."""

from pathlib import Path
from typing import Literal

from stellar_emulator.errors import InputError
from stellar_emulator.saved.bundle import DESCRIPTION
from stellar_emulator.shipped.resources import DEFAULT, PAIRS, resource
from stellar_emulator.system.extras import named_extras

Kind = Literal["emulator", "validator"]


def find_model(where: str | Path | None, kind: Kind) -> Path:
    """Find a model's folder.

    Parameters
    ----------
    where
        A folder, of the model or of a pair that holds ``emulator`` and ``validator``; an address such as
        ``models:/NAME@champion``, ``models:/NAME/3`` or ``runs:/RUN/NAME``; the name of a pair that comes with the
        package; or None, `DEFAULT`.

    Raises
    ------
    InputError
        If there is no such model; the message says what there is.
    """
    if where is None:
        return shipped(DEFAULT, kind)
    if is_folder(where):
        folder = Path(where)
        return folder / kind if not (folder / DESCRIPTION).is_file() and (folder / kind).is_dir() else folder
    if is_address(str(where)):
        with named_extras():
            from stellar_emulator.registry.read import resolve

        return resolve("", str(where))
    return shipped(str(where), kind)


def is_folder(where: str | Path) -> bool:
    """Whether a text names a folder that can be seen; one too long for a name does not."""
    try:
        return Path(where).is_dir()
    except OSError:
        return False


def is_address(where: str) -> bool:
    """Whether a text is an address in MLflow, whole in itself."""
    return where.startswith(("models:/", "runs:/"))


def shipped(name: str, kind: Kind) -> Path:
    """Folder of a model that comes with the package. Raises `InputError` if there is none of that name."""
    if name not in (names := shipped_names()):
        raise InputError(
            f"{name} is no model's folder and no model of that name comes with this package (it has "
            f"{', '.join(names) or 'none'}): give a folder, such as output/train/models, or an address, such as "
            "models:/stellar-emulator@champion"
        )
    return resource(PAIRS, name, kind)


def shipped_names() -> list[str]:
    """Names of the pairs that come with the package."""
    return sorted(path.parents[1].name for path in resource(PAIRS).glob(f"*/emulator/{DESCRIPTION}"))
