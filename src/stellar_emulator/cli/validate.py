"""The verb ``validate``: check a grid against its data contract, report its faults, set bad spectra aside."""

from stellar_emulator.cli.settings import Validate
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.grid.source import open_source
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.registry import tracking
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.system.say import say
from stellar_emulator.validation.against import hold_against, with_comparison
from stellar_emulator.validation.check import check
from stellar_emulator.validation.overlap import overlap
from stellar_emulator.validation.set_aside import set_aside
from stellar_emulator.validation.validated import publish_validation
from stellar_emulator.validation.verdict import counted, require_passed


def run(options: Validate) -> None:
    """Write verdict, violations, Data Docs and figures to ``output``, and both parts of a grid if it is split."""
    contract = read_contract(options.contract)
    reference = None if options.against is None else _reference(options.against, options, contract)
    tracking.connect()
    make_folder(options.output)
    with locked(options.output), tracking.start_job("validate", options.output) as parent:
        settings = {"contract": contract.digest, "seed": options.seed, "on_violation": options.on_violation}
        parent.log_settings({**settings, "grid": options.grid, "against": reference.digest if reference else "none"})
        grid = open_source(options.grid, contract, options.output / "grids").grid
        say(f"checking {grid.rows:,} spectra against contract {contract.name}")
        validation = check(grid, contract)
        if reference is not None and validation.verdict.digest:
            say(f"holding them against {reference.version}")
            validation = with_comparison(validation, hold_against(grid, contract, reference))
        verdict = validation.verdict
        if verdict.digest:
            parent.log_dataset(contract.name, verdict.digest, grid.path, "validation")
        voids = publish_validation(parent, grid, contract, validation, options.output)
        print(f"{grid.path.name}: {verdict.summary()}")
        for warning in verdict.warnings:
            print(f"warning: {warning}")
        for note in verdict.notes:
            print(f"note: {note}")
        print(f"coverage: {counted(len(voids), 'void', 'voids')} among cells of two labels")
        print(f"files: {options.output}, to be read in a browser: {options.output}/data_docs/index.html")
        if options.on_violation == "quarantine":
            print(set_aside(grid, contract, validation, options.output))
        else:
            require_passed(verdict, grid)


def _reference(which: str, options: Validate, contract: Contract) -> Emulator:
    """The emulator to hold spectra against. Raises `InputError` where its contract and the grid's don't overlap."""
    emulator = Emulator.load(which, options.contract)
    overlap(contract, emulator.contract)
    _ = emulator.bundle.measured  # Raises where nothing was measured.
    return emulator
