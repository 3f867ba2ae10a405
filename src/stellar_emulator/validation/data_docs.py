"""Data Docs of a validation: one HTML page that needs no internet, with Great Expectations' own sentences.

Great Expectations' page fetches styles, scripts and pictures from eight hosts; only what it writes of each expectation
is taken over. The page forbids the browser any request.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stellar_emulator.contract.contract import Contract
from stellar_emulator.validation.check import Validation
from stellar_emulator.validation.verdict import counted

OFFENDERS = 20
VOIDS = 50
"""Shown on the page at most, of one fault and in all; every one is in ``violations.parquet`` and in the figure."""

_TEMPLATE = "data_docs.html"
_COLUMNS = {
    "row": "row",
    "run_id": "run",
    "subject": "label or flux",
    "wavelength": "wavelength",
    "observed_text": "observed",
    "lower": "lower bound",
    "upper": "upper bound",
    "expectation": "expectation",
    "message": "fault",
}


def data_docs(
    contract: Contract,
    grid_name: str,
    validation: Validation,
    voids: Sequence[str],
    pictures: Mapping[str, bytes],
) -> str:
    """The page; ``pictures`` are the PNG files ``coverage`` and ``flux_range``, each may be missing."""
    verdict, violations = validation.verdict, validation.violations
    shown = violations.groupby(["expectation", "subject", "message"], sort=False).head(OFFENDERS)
    content = {
        "title": f"Data contract {contract.name}: {grid_name}",
        "passed": verdict.passed,
        "outcome": verdict.summary().splitlines()[0] if verdict.passed else _outcome(validation),
        "facts": {
            "grid": grid_name,
            "spectra": f"{verdict.rows:,}",
            "grid digest": verdict.digest or "not taken: the flux was not read",
            "contract": contract.name,
            "contract digest": verdict.contract_digest,
            **({"notes": "; ".join(verdict.notes)} if verdict.notes else {}),
        },
        "faults": [fault.message for fault in verdict.faults],
        "warnings": verdict.warnings,
        "columns": list(_COLUMNS.values()),
        "offenders": [_texts(row) for row in shown[list(_COLUMNS)].itertuples(index=False)],
        "hidden": len(violations) - len(shown),
        "voids": voids[:VOIDS],
        "voids_hidden": max(0, len(voids) - VOIDS),
        "pictures": {name: base64.b64encode(picture).decode() for name, picture in pictures.items()},
        "suites": {heading: _sections(result) for heading, result in validation.results.items()},
    }
    return str(_template().render(content))


def _outcome(validation: Validation) -> str:
    rows = validation.violations["row"]
    spectra = rows[rows >= 0].nunique()
    broken = counted(len(validation.verdict.faults), "expectation is", "expectations are")
    return f"{broken} broken, by {spectra:,} of {validation.verdict.rows:,} spectra"


def _texts(row: Sequence[Any]) -> list[str]:
    """Cells of one offender; empty where a number is missing or stands for the grid as a whole."""
    cells = ["" if isinstance(value, float) and pd.isna(value) else _text(value) for value in row]
    return ["whole grid" if row[0] < 0 else cells[0], "" if row[1] < 0 else cells[1], *cells[2:]]


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _sections(result: Any) -> list[Any]:
    """What Great Expectations writes of the expectations, by column, without its overview, which links other pages."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    return list(_unfolded(ValidationResultsPageRenderer().render(result).to_json_dict()["sections"][1:]))


def _unfolded(block: Any) -> Any:
    """Leave out what a script would unfold: the pandas query for all offenders, a number for each."""
    if isinstance(block, dict):
        return {name: _unfolded(part) for name, part in block.items()}
    if isinstance(block, list):
        folded = [isinstance(part, dict) and part.get("content_block_type") == "collapse" for part in block]
        return [_unfolded(part) for part, hidden in zip(block, folded, strict=True) if not hidden]
    return block


def _template() -> Any:
    from great_expectations.render.view import DefaultJinjaPageView

    view = DefaultJinjaPageView(custom_views_directory=str(Path(__file__).parent))
    return view.env.get_template(_TEMPLATE)
