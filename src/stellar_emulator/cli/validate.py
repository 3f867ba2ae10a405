"""The verb ``validate``: check a grid against its data contract, report its faults, set bad spectra aside."""

from stellar_emulator.cli.settings import Validate
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.grid.source import open_source
from stellar_emulator.registry import tracking
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.system.say import say
from stellar_emulator.validation.check import check
from stellar_emulator.validation.set_aside import set_aside
from stellar_emulator.validation.validated import publish_validation
from stellar_emulator.validation.verdict import counted, require_passed


def run(options: Validate) -> None:
    """Write verdict, violations, Data Docs and figures to ``output``, and both parts of a grid if it is split."""
    contract = read_contract(options.contract)
    tracking.connect()
    make_folder(options.output)
    with locked(options.output), tracking.start_job("validate", options.output) as parent:
        settings = {"contract": contract.digest, "seed": options.seed, "on_violation": options.on_violation}
        parent.log_settings({**settings, "grid": options.grid})
        grid = open_source(options.grid, contract, options.output / "grids").grid
        say(f"checking {grid.rows:,} spectra against contract {contract.name}")
        validation = check(grid, contract)
        verdict = validation.verdict
        if verdict.digest:
            parent.log_dataset(contract.name, verdict.digest, grid.path, "validation")
        voids = publish_validation(parent, grid, contract, validation, options.output)
        print(f"{grid.path.name}: {verdict.summary()}")
        for note in verdict.notes:
            print(f"note: {note}")
        print(f"coverage: {counted(len(voids), 'void', 'voids')} among cells of two labels")
        print(f"files: {options.output}, to be read in a browser: {options.output}/data_docs/index.html")
        if options.on_violation == "quarantine":
            print(set_aside(grid, contract, validation, options.output))
        else:
            require_passed(verdict, grid)
