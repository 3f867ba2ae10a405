"""The verb ``import``: another code's spectra become a grid with a drafted data contract."""

from collections.abc import Sequence
from pathlib import Path

from stellar_emulator.cli.settings import Import
from stellar_emulator.errors import InputError
from stellar_emulator.grid.importing.darkening import read_darkening
from stellar_emulator.grid.importing.importer import Imported, Wanted, import_grid
from stellar_emulator.grid.importing.merge import is_imported, merge
from stellar_emulator.grid.readers.names import label_source
from stellar_emulator.system.lock import locked, make_folder

SHOWN = 5
"""Spectra left out that are named on the screen; ``spectra.csv`` lists all."""


def run(options: Import) -> None:
    """Fill ``output`` with spectra, their list and ``contract.yaml``; folders of earlier imports are merged."""
    merging = [is_imported(source) for source in options.sources]
    if all(merging) and len(merging) > 1:
        make_folder(options.output)
        with locked(options.output):
            runs = merge(options.sources, options.name, options.command, options.output)[1]
        print(f"{options.output}: {runs:,} intrinsic spectra of {len(merging)} imports")
        _say_next(options.output)
        return
    if any(merging):
        raise InputError(
            f"{options.sources[merging.index(True)]} is an import already: name several such folders to merge them, or "
            "sources of spectra alone"
        )
    _require_apart(options.sources, options.output)
    wanted = Wanted(
        label_source(options.labels),
        read_darkening(options.limb_darkening),
        options.format,
        options.name,
        options.medium,
        options.range,
        options.resolution,
        options.normalise,
        options.command,
    )
    _tell(import_grid(options.sources, wanted, options.output))


def _require_apart(sources: Sequence[Path], output: Path) -> None:
    """Return if an import leaves its sources as they are. Raises `InputError` if the output lies in one of them."""
    place = output.resolve()
    for source in sources:
        if source.is_dir() and place.is_relative_to(source.resolve()):
            raise InputError(
                f"--output {output} lies in {source}, whose files are read: choose a folder beside it, which "
                "leaves the grid as it is"
            )


def _tell(made: Imported) -> None:
    contract, folder = made.contract, made.folder
    axis = contract.wavelength
    kind = "spectra as given" if contract.intrinsic is None else "intrinsic spectra"
    print(f"{folder}: {made.spectra:,} {kind}, {axis.start:g} to {axis.stop:g} {axis.unit} in {axis.medium}")
    for label in contract.labels:
        print(f"label {label.name}: {label.lower:g} to {label.upper:g} {label.unit}".rstrip())
    for note in made.notes:
        print(f"note: {note}")
    for key, reason in list(made.failed.items())[:SHOWN]:
        print(f"left out: {key}: {reason}")
    if len(made.failed) > SHOWN:
        print(f"left out: {len(made.failed) - SHOWN:,} more, listed in {folder}/spectra.csv")
    _say_next(folder)


def _say_next(folder: Path) -> None:
    print(f"next: stellar-emulator validate --contract {folder / 'contract.yaml'} --grid {folder}")
