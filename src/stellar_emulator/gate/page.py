"""The page for people of a decision."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.figures.flux_residuals import residual_map
from stellar_emulator.figures.gate import error_densities, ratio_intervals
from stellar_emulator.figures.html import document, image, table
from stellar_emulator.gate.decision import SECTIONS, Criterion, Decision
from stellar_emulator.gate.measured_spectra import Measured, Spectra

_BLURBS = {
    "evidence": "Enough spectra of runs that no model saw, one contract, grids that passed their checks.",
    "judge": "What the judges, trained on computed spectra only, tell of each label: 1 - MSE / variance.",
    "match": "Labels inferred from generated spectra err like those from computed ones.",
    "shift": "How far a label moves when a computed spectrum is replaced by the generated one.",
    "regions": "The same ratio bin by bin; bins where the judges have no skill do not count.",
    "fidelity": "The flux itself, so that a fault which no judge sees is seen.",
    "pixels": "Every pixel and every line by itself, over the box and in each part of it: none hides behind a mean.",
    "fresh": "Spectra at labels drawn after training, by a seed that follows from the models: each looks like a true "
    "one of these labels, to the data contract, to the gate set's spectra and to the judges.",
    "smooth": "Lines through the box along each label: flux neither jumps nor bends where true spectra do not.",
    "champion": "Nothing that serves is replaced by something worse.",
    "serves": "The registered files answer, and refuse what they should.",
    "nodes": "Flux at runs that a training did not see, against interpolation between the others by cubic radial basis "
    "functions (SciPy) of scaled labels.",
}


def page(contract: Contract, spectra: Spectra, decision: Decision, record: Mapping[str, Any]) -> str:
    """HTML of one decision; ``record`` is what ``decision.json`` holds, with digests, versions, who and when."""
    promoted = "promoted" if decision.promoted else "refused"
    strict = "met" if decision.strict else "not met"
    evaluation = str(record.get("evaluation") or "")
    kind = "evaluation only, " if evaluation else ""
    facts = f"Attempt {decision.attempts_before + 1} on this gate set (spectra {spectra.digest}). "
    return document(
        f"{contract.name}: {kind}{promoted}",
        [
            f'<h1 class="{promoted}">{escape(contract.name)}: {kind}{promoted}</h1>',
            f"<p>{facts}The strict ratio on every label, reported and not counted, is {strict}.</p>",
            *([f"<p>An evaluation moves no champion: {escape(evaluation)}.</p>"] if evaluation else []),
            *(f"<p>Warning: {escape(warning)}.</p>" for warning in decision.warnings),
            _refusals(decision),
            "<h2>Accuracies</h2>",
            _accuracies(decision),
            *_figures(contract, decision),
            *(_section(section, decision.criteria) for section in SECTIONS),
            _coverage(decision),
            "<h2>Record</h2>",
            f"<pre>{escape(_without_tables(record))}</pre>",
        ],
    )


def page_without_gate(name: str, decision: Decision, record: Mapping[str, Any]) -> str:
    """HTML of a decision on a contract without a gate; arguments as of `page`."""
    promoted = "promoted" if decision.promoted else "refused"
    head = f"{name}: {promoted} without a gate"
    attempt = f"Attempt {decision.attempts_before + 1} without a gate. Judged by {decision.basis}."
    errors = [
        (row["of"], row["where"], f"{row['mae']:.3g}", f"{row['rms']:.3g}", f"{row['spectra']:,}")
        for row in decision.tables.get("held_out", ())
    ]
    return document(
        head,
        [
            f'<h1 class="{promoted}">{escape(head)}</h1>',
            f"<p>{escape(attempt)}</p>",
            *(f"<p>Warning: {escape(warning)}.</p>" for warning in decision.warnings),
            _refusals(decision),
            "<h2>Errors of flux at runs held out</h2>",
            table(("of", "where", "MAE", "RMS", "spectra"), errors),
            *(_section(section, decision.criteria) for section in decision.sections),
            "<h2>Record</h2>",
            f"<pre>{escape(_without_tables(record))}</pre>",
        ],
    )


def _refusals(decision: Decision) -> str:
    reasons = [_reason(row) for row in decision.refusals]
    reasons += [f"{section}: not examined" for section in decision.unexamined]
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f"<p>Refused by</p><ul>{items}</ul>" if items else ""


def _reason(row: Criterion) -> str:
    """What refused, with its figure against the bound and where, so that nobody has to look it up."""
    figures = (
        "" if row.figure is None or row.bound is None else f": {row.figure:.4g}, asked is {row.rule} {row.bound:.4g}"
    )
    return f"{row.section}: {row.name}{figures}{f' ({row.note})' if row.note else ''}"


def _accuracies(decision: Decision) -> str:
    """RMSE beside the paper's, with ratio, bias and shifts."""
    head = ("label", "RMSE computed", "RMSE generated", "ratio", "bias / RMSE", "judged shift", "shift by the flux")
    rows = [
        (
            f"{row['label']} ({row['unit']})" if row["unit"] else row["label"],
            _with_paper(row["rmse_test"], row["paper_test"]),
            _with_paper(row["rmse_generated"], row["paper_generated"]),
            f"{row['ratio']:.3f} ({row['ratio_lower']:.3f} to {row['ratio_upper']:.3f})",
            f"{row['bias']:+.3f}",
            f"{row['judged_shift']:.3g}",
            f"{row['flux_shift']:.3g} (of {100.0 * row['determined_share']:.0f} %)",
        )
        for row in decision.tables.get("labels", ())
    ]
    note = "<p>In brackets: the paper's Table 5, measured on another grid; one-sided bounds of the ratio.</p>"
    return table(head, rows) + note


def _with_paper(value: float, paper: float | None) -> str:
    return f"{value:.3g}" + ("" if paper is None else f" ({paper:g})")


def _section(section: str, criteria: Iterable[Criterion]) -> str:
    rows = [row for row in criteria if row.section == section]
    cells = [
        (
            row.name,
            "" if row.figure is None else f"{row.figure:.4g}",
            "" if row.bound is None else f"{row.rule} {row.bound:.4g}",
            row.verdict,
            row.note,
        )
        for row in rows
    ]
    classes = [{"refused": "refused", "not counted": "counts-not"}.get(row.verdict, "") for row in rows]
    body = (
        table(("criterion", "figure", "bound", "verdict", "note"), cells, classes) if rows else "<p>Not examined.</p>"
    )
    return f"<h2>{section.capitalize()}</h2><p>{escape(_BLURBS[section])}</p>{body}"


def _coverage(decision: Decision) -> str:
    """Cells that no gate run lies in, all of them by name."""
    cells = "".join(f"<li>{escape(row['cell'])}</li>" for row in decision.tables.get("coverage", ()))
    told = "No computed spectrum says what the flux should be there; promote --fresh_runs N computes some first there."
    return f"<h2>Cells without a gate run</h2><p>{told}</p><ul>{cells}</ul>" if cells else ""


def _figures(contract: Contract, decision: Decision) -> list[str]:
    measured = decision.measured
    if measured is None or not _drawable(measured):
        return ["<p>No figures: the models answered what is no number.</p>"]
    margins = decision.settings["limits"]["ratio"]
    rows = [dict(row) | {"margin": margins[row["label"]]} for row in decision.tables["labels"]]
    across = contract.first_binned
    values = measured.labels[measured.shown, contract.label_names.index(across)]
    return [
        image(ratio_intervals(contract, rows), "Ratios of RMSE against their margins"),
        image(error_densities(contract, measured.test, measured.generated, measured.weight), "Error densities"),
        image(residual_map(contract, values, measured.residual, across), "Residuals by wavelength and label"),
    ]


def _drawable(measured: Measured) -> bool:
    return bool(len(measured.shown) and all(np.isfinite(a).all() for a in (measured.generated, measured.residual)))


def _without_tables(record: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in record.items() if name not in ("criteria", "tables")}
    return json.dumps(shown, indent=1, default=str)
