"""The verb ``explore``: a page in the browser with sliders for the labels and the spectrum drawn live."""

from stellar_emulator.cli.settings import Explore
from stellar_emulator.explorer.app import explorer_app
from stellar_emulator.explorer.token import Tokened
from stellar_emulator.models.load_pair import load_pair
from stellar_emulator.serving.listening import address_of, answer, bound_socket


def run(options: Explore) -> None:
    """Serve the page until the process is interrupted or terminated."""
    with bound_socket(options.host, options.port) as listener:
        emulator, validator = load_pair(options.model, contract=options.contract)
        app = Tokened(explorer_app(emulator, validator))
        said = f"open {address_of(listener)}/{app.token}/ in a browser"
        answer(listener, app, said, options.names)
