"""The verb ``fit``: labels of observed spectra by least squares through the emulator, with their covariance."""

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from stellar_emulator.cli.exposures import joined_by_file, require_velocities_free, texts_of
from stellar_emulator.cli.observations import (
    Row,
    answered,
    known_labels,
    listed_files,
    open_pair,
    parse_priors,
    report,
    require_some,
    stated,
    treatment,
    values_of,
)
from stellar_emulator.cli.settings import Fit
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.figures.fitted import fitted_spectrum
from stellar_emulator.fitting.epochs import StarFit, fit_stars
from stellar_emulator.fitting.estimate import Fitted, Pair, fit_all
from stellar_emulator.models.load_pair import load_pair
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.survey.chunks import dataset_of
from stellar_emulator.survey.fill import Job, fill
from stellar_emulator.survey.flags import SURE, Flag, names_of
from stellar_emulator.survey.monitor import PAGE
from stellar_emulator.survey.rows import LISTED, UNITS, row_of
from stellar_emulator.survey.star_rows import Epochs, row_of_star
from stellar_emulator.system.extras import named_extras
from stellar_emulator.writers.file import check_output
from stellar_emulator.writers.label_table_file import FORMATS, write_table


def run(options: Fit) -> None:
    """Write a table of labels, one row per spectrum, and a figure of each if requested, or fill a folder.

    Raises like the verb infer, or `survey.fill.fill`.
    """
    if not options.output.suffix:
        _fill(options)
        return
    check_output(options.output, FORMATS)
    pair = open_pair(options)
    contract = pair.emulator.contract
    known, treated = known_labels(options.given, contract), treatment(options, contract)
    priors = parse_priors(options.prior, contract)
    if joined_by_file(options):
        require_velocities_free(options)

    def of_stars(stars: Sequence[Epochs]) -> Sequence[Fitted | StarFit | InputError]:
        return fit_stars([(star.name, star.used) for star in stars], pair, treated, known, priors)

    def of_spectra(spectra: Sequence[ObservedSpectrum]) -> Sequence[Fitted | StarFit | InputError]:
        return fit_all(spectra, pair, treated, known, priors)

    found: tuple[list[Row[Fitted | StarFit]], list[InputError]] = answered(options, contract, of_spectra, of_stars)
    rows, refused = found
    rows = [replace(row, warnings=(*row.warnings, *_warnings(row.found))) for row in rows]
    if len(refused) < len(rows):
        cells = [_cells(contract, row) for row in rows]
        _write(options, pair, rows, cells)
        lines = [_line(contract, row.found, int(own["flags"])) for row, own in zip(rows, cells, strict=True)]
        report(rows, lines, options.output)
        if options.figures is not None:
            _draw(options.figures, pair, rows)
    require_some(refused, len(rows))


def _fitted(found: Fitted | StarFit | None) -> Fitted | None:
    """A fit of one spectrum, or that of several exposures as one of their mean."""
    return found.fitted if isinstance(found, StarFit) else found


def _warnings(found: Fitted | StarFit | None) -> tuple[str, ...]:
    """What to warn of, of a fit."""
    one = _fitted(found)
    if one is None:
        return ()
    varies = isinstance(found, StarFit) and found.constancy.p_value < SURE
    double = isinstance(found, StarFit) and found.double_lined
    told = (
        (varies, "the velocity varies between the exposures"),
        (double, "the exposures show lines of a second star that move against the first's"),
    )
    return (*one.warnings, *(text for there, text in told if there))


def _fill(options: Fit) -> None:
    """Fit a survey into a folder, which the same command goes on filling after a kill."""
    if options.figures is not None:
        raise InputError("--figures are drawn of single tables: give --output a file, such as labels.parquet")
    if joined_by_file(options):
        require_velocities_free(options)
    contract = load_pair(options.model, options.validator, options.contract)[0].contract
    job = Job(
        options.model,
        options.validator,
        str(options.contract),
        treatment(options, contract),
        stated(options),
        options.form,
        options.select,
        options.epochs != "apart",
        joined_by_file(options),
        known_labels(options.given, contract),
        parse_priors(options.prior, contract),
    )
    dataset = dataset_of(listed_files(options.files), options.chunk, job.together)
    scheduler = None if options.scheduler == "local" else options.scheduler
    with named_extras():
        done = fill(dataset, job, options.output, options.workers, scheduler)
    rows = f"{done.rows:,} row{'s' * (done.rows != 1)}"
    files = f"{done.chunks:,} file{'s' * (done.chunks != 1)}"
    print(f"{done.folder}: {rows} in {files}, {done.fitted:,} written now")
    for name, number in done.found.flags.items():
        print(f"  {name}: {number:,}" + (f", the first: {done.refused}" if name == Flag.NOT_FITTED.name else ""))
    print(f"monitor: {done.folder / PAGE}" if done.drawn else "no monitor: its figures need the extra figures")
    if options.track:
        with named_extras():
            module = import_module("stellar_emulator.survey.track")
        print(f"run {module.log_survey(done, contract, options.files[0], {'chunk': options.chunk})}")
    if done.found.flags.get(str(Flag.NOT_FITTED.name)) == done.rows:
        raise InputError(f"none of {rows} could be used; the first: {done.refused}")


def _write(options: Fit, pair: Pair, rows: Sequence[Row[Fitted | StarFit]], cells: Sequence[dict[str, Any]]) -> None:
    contract = pair.emulator.contract
    columns = texts_of([{"name": row.name, **own} for row, own in zip(rows, cells, strict=True)])
    columns["warning"] = ["; ".join(row.warnings) for row in rows]
    columns["read"] = [row.reading for row in rows]
    measured = ("", "_raw", "_error", "_lower", "_upper")
    units = {f"{label.name}{end}": label.unit for label in contract.labels if label.unit for end in measured}
    write_table(options.output, columns, {**units, **UNITS}, {"emulator": pair.emulator.version})


def _cells(contract: Contract, row: Row[Fitted | StarFit]) -> dict[str, Any]:
    """As a survey's rows have them, and what a file calls the exposures that were fitted together."""
    if row.star is None or not isinstance(row.found, StarFit):
        found = row.found if isinstance(row.found, Fitted) else InputError(row.warnings[0] if row.warnings else "")
        return row_of(contract, found)
    names = " ".join(re.sub(r"\s+", "_", _exposure(one)) for one in row.star.seen)
    return {**row_of_star(contract, row.star, row.found), f"{LISTED}name": names}


def _exposure(one: ObservedSpectrum | InputError) -> str:
    """What a file calls an exposure."""
    if isinstance(one, InputError):
        return "unusable"
    return one.exposure or one.name.rpartition("[")[2].rstrip("]")


def _line(contract: Contract, answer: Fitted | StarFit | None, flags: int) -> str:
    found = _fitted(answer)
    if found is None:
        return "not used"
    solution = found.solution
    each = zip(contract.labels, solution.parameters.labels, solution.error, strict=True)
    texts = [values_of(*one) for one in each]
    velocity = f"velocity {solution.parameters.velocity:.2f} +- {solution.velocity_error:.2f} km/s"
    if isinstance(answer, StarFit):
        own = zip(answer.velocity, answer.velocity_error, strict=True)
        velocity += f" (each: {', '.join(f'{one:.2f} +- {error:.2f}' for one, error in own)})"
    told = [f"flags {' '.join(names_of(flags, contract))}"] if flags else []
    return ", ".join([*texts, velocity, f"chi-square {solution.chi_square:.0f} / {solution.degrees_of_freedom}", *told])


def _draw(folder: Path, pair: Pair, rows: Sequence[Row[Fitted | StarFit]]) -> None:
    """Write one PNG for each fit, named by number and spectrum."""

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(rows):
            found = _fitted(row.found)
            if found is not None:
                name = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(row.name).name)[:60]
                figure = fitted_spectrum(pair.emulator.contract, found.spectrum, found.solution)
                figure.savefig(folder / f"{number:04d}_{name}.png")
    except OSError as error:
        raise SetupError(
            f"{folder} can't be written to: {error.strerror or error}: choose another --figures"
        ) from error
    print(f"{folder}: figures")
