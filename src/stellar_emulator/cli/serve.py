"""The verb ``serve``: one emulator or validator over HTTP, by MLflow's protocol, with strict requests."""

from stellar_emulator.cli.settings import Serve
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.pair import find_model
from stellar_emulator.models.validator import Validator
from stellar_emulator.saved.bundle import read_bundle
from stellar_emulator.serving.listening import address_of, answer, bound_socket
from stellar_emulator.serving.scoring_app import ROUTE, scoring_app


def run(options: Serve) -> None:
    """Serve until the process is interrupted or terminated; pending requests are answered first."""
    with bound_socket(options.host, options.port) as listener:
        folder = find_model(options.model, "emulator", options.contract)
        model = Emulator.load(folder) if read_bundle(folder).kind == "emulator" else Validator.load(folder)
        kind = type(model).__name__.lower()
        what = f"serving {kind} {model.digest[:12]} of contract {model.contract.name}"
        answer(listener, scoring_app(model), f"{what} at {address_of(listener)}{ROUTE}", options.names)
