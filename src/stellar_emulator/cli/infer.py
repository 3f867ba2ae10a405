"""The verb ``infer``: labels of observed spectra, inferred by the validator."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stellar_emulator.cli.narrower import that_is_covered
from stellar_emulator.cli.observations import (
    Row,
    answered,
    one_by_one,
    open_pair,
    report,
    require_some,
    treatment,
    values_of,
)
from stellar_emulator.cli.settings import Infer
from stellar_emulator.fitting.estimate import INFER_SHARE, Inferred, Pair, infer
from stellar_emulator.models.pair import SAME
from stellar_emulator.shipped.resources import OBSERVED
from stellar_emulator.system.say import say
from stellar_emulator.writers.file import check_output
from stellar_emulator.writers.label_table_file import FORMATS, write_table

ADVICE = "the validator learned from computed spectra: the errors of real stars are larger; fit heeds how they differ"


def run(options: Infer) -> None:
    """Write a table of labels, one row per spectrum; spectra that can't be used have empty rows with the reason.

    Raises
    ------
    InputError
        If no spectrum at all can be used.
    RefusedError
        If some can't be used.
    """
    check_output(options.output, FORMATS)
    pair = open_pair(options)
    unnamed = options.model == OBSERVED and options.validator in SAME
    name = that_is_covered(options, pair.emulator.contract, INFER_SHARE) if unnamed else options.model
    if name != options.model:
        say(f"the spectra cover too little of {OBSERVED}: taking {name}, the same networks on less")
        options = replace(options, model=name)
        pair = open_pair(options)
    contract = pair.emulator.contract
    treated = treatment(options, contract)
    rows, refused = answered(options, contract, one_by_one(lambda spectrum: infer(spectrum, pair, treated)))
    rows = [replace(row, warnings=(*row.warnings, *(row.found.warnings if row.found else ()))) for row in rows]
    if len(refused) < len(rows):
        _write(options, pair, rows)
        report(rows, [_line(pair, row.found) for row in rows], options.output)
        print(ADVICE)
    require_some(refused, len(rows))


def _write(options: Infer, pair: Pair, rows: Sequence[Row[Inferred]]) -> None:
    labels = pair.emulator.contract.labels
    nothing = np.full(len(labels), np.nan)
    found = [row.found for row in rows]
    columns: dict[str, list[object]] = {"name": [row.name for row in rows]}
    units: dict[str, str] = {}
    for i, label in enumerate(labels):
        columns[label.name] = [float((one.labels if one else nothing)[i]) for one in found]
        columns[f"{label.name}_error"] = [float((one.uncertainty if one else nothing)[i]) for one in found]
        if label.unit:
            units |= {label.name: label.unit, f"{label.name}_error": label.unit}
    for name in ("velocity", "velocity_error", "noise", "reconstruction_error"):
        column = f"radial_{name}" if name.startswith("velocity") else name
        columns[column] = [float(getattr(one, name)) if one else float("nan") for one in found]
    columns["warning"] = ["; ".join(row.warnings) for row in rows]
    columns["read"] = [row.reading for row in rows]
    units |= {"radial_velocity": "km/s", "radial_velocity_error": "km/s"}
    versions = {"emulator": pair.emulator.version, "validator": pair.validator.version}
    write_table(options.output, columns, units, versions)


def _line(pair: Pair, found: Inferred | None) -> str:
    if found is None:
        return "not used"
    labels = pair.emulator.contract.labels
    texts = [values_of(*each) for each in zip(labels, found.labels, found.uncertainty, strict=True)]
    return ", ".join([*texts, f"velocity {found.velocity:.2f} km/s"])
