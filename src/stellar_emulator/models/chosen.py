"""Which model a command shall use."""

from pathlib import Path

from stellar_emulator.contract.contract import read_contract
from stellar_emulator.models.find import Kind, find_model, is_address, is_folder, shipped_names
from stellar_emulator.shipped.resources import DEFAULT
from stellar_emulator.system.extras import named_extras


def chosen_folder(which: str, contract: Path, kind: Kind = "emulator") -> Path:
    """Folder of a model by what a user calls it: as `find_model`, or by alias or version of the registered one.

    The contract, which knows the registered name, is read only for the latter. Raises like `find_model`.
    """
    if which in (DEFAULT, *shipped_names()) or is_address(which) or is_folder(which):
        return find_model(which, kind)
    with named_extras():
        from stellar_emulator.registry.read import resolve

    return resolve(getattr(read_contract(contract).models, kind), which)
