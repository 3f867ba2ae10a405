"""The model card of a pair: its intended use and misuse, the origin of its data, its errors, and how to cite it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.contract.regions import ALL, BOX
from stellar_emulator.evaluation import accuracy, flux_error
from stellar_emulator.evaluation.accuracy import AccuracyRow, ratios
from stellar_emulator.evaluation.flux_error import FluxErrorRow
from stellar_emulator.networks.preset import parse_preset, preset_text

NAME = "model_card.md"

ALONE = "model_card_without_figures.md"
"""File name of the card without figures, which is kept with a training's run."""

FIGURES = "\n## Figures\n"
"""Heading of the last section, which is useful only beside the folder of figures."""

_FIGURES_ALONE = re.compile(re.escape(FIGURES) + r"\n*(?:!\[[^\n]*\]\(figures/[^\n]*\)\n+)*\Z")
"""Pattern of that section at the end of a card: descriptions of contracts and grids may contain the same heading."""

_SHOWN = {
    "one_spectrum": "A computed spectrum, the generated one over it, and their difference",
    "residual_map": "Residuals by wavelength",
    "flux_error_by_region": "Flux error by region",
    "accuracy": "Accuracies",
    "inferred_labels": "Inferred against true labels",
    "sampling": "Labels of the grid",
    "training": "Training",
}
"""Figures that a card shows, with their captions."""

_STEPS = ("date", "package_version", "from_runs", "to_runs")
"""Columns of the table of calls that computed the grid."""

_SYNTHESISED = {"seed", "runs", "failed", "syntheses"}
"""Entries of a provenance that ``synthesize`` wrote, as far as a card shows them."""


@dataclass(frozen=True)
class Facts:
    """Content of a card besides the contract and the figures of merit.

    models: each registered version's address, with the digest of its model; spectra: numbers of spectra of the grid, by
    part of the split; runs: the same for runs; provenance: that of the grid; metadata: those of the emulator and of the
    validator, from their folders; versions: those of package and machine, from `registry.tracking.provenance`; works:
    citations, one line each.
    """

    models: Mapping[str, str]
    spectra: Mapping[str, int]
    runs: Mapping[str, int]
    provenance: Mapping[str, Any]
    metadata: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str]
    works: Sequence[str]


def model_card(
    contract: Contract,
    facts: Facts,
    accuracies: list[AccuracyRow],
    flux_errors: list[FluxErrorRow],
    figures: Iterable[str],
) -> str:
    """The card as Markdown; ``figures``: names of the figures beside the card, as ``figures/NAME.png``."""
    names = f"# {contract.models.emulator} and {contract.models.validator}"
    sections = [
        f"{names}\n\n{plain_markdown(contract.description)}\n\n{_models(facts)}",
        _intended_use(contract),
        _contract(contract),
        _data(contract, facts),
        _training(facts),
        _accuracies(contract, accuracies),
        _flux_errors(flux_errors),
        _limits(facts),
        "## How to cite\n\nThis package, and what its method and its embedded grid stand on:\n\n" + _list(facts.works),
    ]
    shown = _figures(figures)
    return "\n\n".join(sections) + "\n" + (FIGURES + "\n" + shown if shown else "")


def without_figures(card: str) -> str:
    """The same card without its last section, if that is the section of figures."""
    return _FIGURES_ALONE.sub("", card)


def short_card(contract: Contract, accuracies: list[AccuracyRow], flux_errors: list[FluxErrorRow]) -> str:
    """A few lines of Markdown for a registry's page: inputs and outputs of the pair, and its errors."""
    flux = flux_error.find(flux_errors, "chain")
    rows = [
        (_named(label), f"{label.lower:g} to {label.upper:g}", _pair(accuracies, label.name, BOX))
        for label in contract.labels
    ]
    return (
        f"{plain_markdown(contract.description)} {_axis(contract)}.\n\n"
        f"{_table(('label', 'bounds', 'RMSE, computed / generated spectra'), rows)}\n\n"
        f"Flux error over the uniform label box: mean {flux.mae:.2e}, 90 % of spectra below {flux.p90_mae:.2e}. "
        f"Intended use, data, limits and figures by region: `{NAME}` of the training's run."
    )


def _models(facts: Facts) -> str:
    return _table(("registered as", "SHA-256"), [(uri, f"`{digest}`") for uri, digest in facts.models.items()])


def _intended_use(contract: Contract) -> str:
    labels = ", ".join(label.name for label in contract.labels)
    emulator, validator = contract.models.emulator, contract.models.validator
    wanted = [
        f"{emulator}: normalised spectra for {labels} inside the bounds below, with their derivatives and errors, in "
        "milliseconds: samplers and fits that want many spectra, syntheses of surveys, teaching.",
        f"{validator}: labels of normalised spectra on the same pixels, with their errors; and judging the emulator.",
    ]
    unwanted = [
        "Labels outside the bounds: they are refused, and clipping them beforehand gives the spectrum of another star.",
        "Spectra that are not normalised in the same way, or are on another axis or in another medium.",
        "Binaries, emission, peculiar abundances, or whatever else the grid does not vary: the validator gives "
        "labels for them too. Look at its reconstruction error.",
        "Conclusions about stars without the limits of the data: the errors below are those against the grid's own "
        "spectra, and what the grid itself gets wrong comes on top.",
        "Service without the gate: that the pair may serve is the statement of `decision.json`, not of this card.",
    ]
    return f"## Intended use\n\n{_list(wanted)}\n\nIt must not be used for\n\n{_list(unwanted)}"


def _contract(contract: Contract) -> str:
    head = ("label", "unit", "lower", "upper", "of", "accuracy gated")
    rows = [
        (
            label.name,
            plain_markdown(label.unit) or "none",
            f"{label.lower:g}",
            f"{label.upper:g}",
            str(label.kind),
            "yes" if label.accuracy else "no",
        )
        for label in contract.labels
    ]
    told = [f"{_axis(contract)}; flux from {contract.flux.lower:g} to {contract.flux.upper:g}, continuum at 1."]
    if contract.instrument is not None:
        told.append(f"All spectra have the resolution {contract.instrument.resolution:g}.")
    name = f"Data contract `{contract.name}`, SHA-256 `{contract.digest}`."
    return f"## Contract\n\n{name}\n\n{_table(head, rows)}\n\n{' '.join(told)}"


def _axis(contract: Contract) -> str:
    axis = contract.wavelength
    return (
        f"{axis.count:,} pixels from {axis.start:g} to {axis.stop:g} {axis.unit}, every {axis.steps}, in {axis.medium}"
    )


def _data(contract: Contract, facts: Facts) -> str:
    """The origin of the grid, as far as it is recorded."""
    rows = [(part, f"{facts.spectra[part]:,}", f"{facts.runs[part]:,}") for part in facts.spectra]
    origin = _origin(facts.provenance)
    digest = facts.metadata["validator"]["grid_digest"]
    told = [f"Grid of SHA-256 `{digest}`, split by run: rows of one run share an atmosphere."]
    warped = [f"{label.name} below {label.median:g}" for label in contract.labels if label.median is not None]
    if warped:
        told.append(f"Draws are warped: half of them have {', half '.join(warped)}. Figures for the box undo that.")
    parts = ["## Data", " ".join(told), _table(("part", "spectra", "runs"), rows)]
    if origin.keys() >= _SYNTHESISED:
        parts.append(_synthesis(origin))
    else:
        source = f"Imported from {_code(str(origin['imported_from']))}" if "imported_from" in origin else "The grid"
        parts.append(f"{source}, without provenance: where the spectra come from is for their owner to say.")
    notes = [plain_markdown(str(note)) for note in origin.get("notes", ())]
    return "\n\n".join([*parts, _list(notes)] if notes else parts)


def _synthesis(origin: Mapping[str, Any]) -> str:
    """Programs, settings and dates of a grid that ``synthesize`` made."""
    engine = str(origin.get("engine", "synspec"))
    told = [
        f"Computed with {engine.upper()}: {origin['runs']:,} runs of the sequence of seed {origin['seed']}, "
        f"{len(origin['failed'])} of them failed.",
    ]
    if "parts" in origin:
        told.append(f"Parts, each pinned by its SHA-256: {plain_markdown(', '.join(origin['parts']))}.")
    if "abundances" in origin:
        told.append(f"Abundances: {plain_markdown(str(origin['abundances']))}.")
    if settings := origin.get(f"{engine}_settings"):
        told.append(f"Settings: {plain_markdown(', '.join(f'{name} {value}' for name, value in settings.items()))}.")
    steps = [[plain_markdown(str(step[name])) for name in _STEPS] for step in origin["syntheses"]]
    return f"{_list(told)}\n\n{_table(('computed on', 'package', 'from run', 'to run'), steps)}"


def _origin(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recorded origin of a grid: that of the grid of which it is a part, and of the latter's intrinsic spectra."""
    if "part_of" in provenance:
        return _origin(provenance["part_of"]["provenance"])
    return dict(provenance.get("intrinsic", provenance))


def _training(facts: Facts) -> str:
    emulator, validator = facts.metadata["emulator"], facts.metadata["validator"]
    told = [
        f"Package stellar-emulator {facts.versions['package']}, git commit {facts.versions.get('git_commit', 'none')}.",
        f"MLflow run `{validator['run_id']}`; check of the grid: run `{validator['validation_run_id']}`.",
        f"Python {facts.versions['python']}, {facts.versions['platform']}, {facts.versions['cores']} cores, "
        f"Keras {facts.versions['version.keras']}.",
        f"Test set `{validator['test_set']}`.",
    ]
    if "networks_of" in emulator:
        told.append(
            f"The emulator's networks are those of `{emulator['networks_of']}`, trained by preset "
            f"{emulator['preset']['name']} and seed {emulator['seed']} under another contract; only the last, fixed "
            "layers are new."
        )
    preset = parse_preset(validator["preset"])
    if preset.search_run is not None:
        told.append(f"The preset was found by the search of MLflow run `{preset.search_run}`.")
    title = f"Preset {preset.name}, seed {validator['seed']}:"
    return f"## Training\n\n{_list(told)}\n\n{title}\n\n```yaml\n{preset_text(preset)}```"


def _accuracies(contract: Contract, rows: list[AccuracyRow]) -> str:
    """Errors of inferred labels: over the box by part and by noise, and by region."""
    of_paper = accuracy.paper_values(contract)
    by_part = [
        (
            _named(label),
            *(_number(accuracy.find(rows, part, label.name).rmse) for part in _parts(rows)),
            f"{ratios(contract, rows)[label.name]:.3f}" if label.accuracy else "reported only",
            *_of_paper(of_paper, label.name),
        )
        for label in contract.labels
    ]
    regions = dict.fromkeys(row.region for row in rows if row.split == "test")
    by_region = [
        (
            _region(region),
            f"{accuracy.find(rows, 'test', contract.labels[0].name, region).n:,}",
            *(_pair(rows, label.name, region) for label in contract.labels),
        )
        for region in regions
    ]
    noises = dict.fromkeys(row.signal_to_noise for row in rows)
    by_noise = [
        (_named(label), *(" / ".join(_noisy(rows, label.name, noise)) for noise in noises)) for label in contract.labels
    ]
    noise_head = [f"S/N {noise:g}" if noise else "noise-free" for noise in noises]
    paper_head = ("paper, another grid: test / generated",) if of_paper else ()
    parts_head = ("label", *_parts(rows), "generated / test", *paper_head)
    return "\n\n".join(
        [
            "## Accuracies",
            "RMSE of the labels that the validator infers, over the uniform label box, from noise-free spectra. "
            "`generated`: from the emulator's spectra at the labels of the test spectra.",
            _table(parts_head, by_part),
            "By region of the label box, from computed / from generated spectra of the test set:",
            _table(("region", "spectra", *(_named(label) for label in contract.labels)), by_region),
            "With noise, over the box, from computed / from generated spectra:",
            _table(("label", *noise_head), by_noise),
        ]
    )


def _of_paper(of_paper: Mapping[str, Mapping[str, float]], name: str) -> tuple[str, ...]:
    """The cell of a label beside the paper's; none where nothing compares."""
    if not of_paper:
        return ()
    told = of_paper.get(name)
    return ("" if told is None else f"{told['test']:g} / {told['generated']:g}",)


def _flux_errors(rows: list[FluxErrorRow]) -> str:
    chain = [row for row in rows if row.what == "chain"]
    cells = [
        (
            _region(row.region),
            f"{row.n:,}",
            *map(_small, (row.mae, row.p90_mae, row.mse, row.core_mae, row.worst_mae)),
        )
        for row in chain
    ]
    head = ("region", "spectra", "MAE", "90 % of spectra below", "MSE", "MAE of line cores", "worst spectrum")
    parts = [
        "## Flux errors",
        "Of generated against computed flux (continuum at 1) on the test set.",
        _table(head, cells),
    ]
    lines = list(chain[0].p90_equivalent_width)
    if lines:
        widths = [
            (_region(row.region), *(f"{100.0 * row.p90_equivalent_width[line]:.2g} %" for line in lines))
            for row in chain
        ]
        parts += [
            "What 90 % of the errors of each line's equivalent width stay below:",
            _table(("region", *map(plain_markdown, lines)), widths),
        ]
    return "\n\n".join(parts)


def _limits(facts: Facts) -> str:
    limits = [plain_markdown(str(limit)) for limit in _origin(facts.provenance).get("known_limits", ())]
    known = _list(limits) if limits else "The grid states none: that does not mean that it has none."
    return f"## Limits of the data\n\n{known}"


def _figures(names: Iterable[str]) -> str:
    made = set(names)
    shown = [f"![{caption}](figures/{name}.png)" for name, caption in _SHOWN.items() if name in made]
    return "\n\n".join(shown) + "\n" if shown else ""


def _parts(rows: list[AccuracyRow]) -> list[str]:
    return list(dict.fromkeys(row.split for row in rows))


def _pair(rows: list[AccuracyRow], label: str, region: str) -> str:
    """RMSE of a label from computed and from generated spectra."""
    return " / ".join(_number(accuracy.find(rows, part, label, region).rmse) for part in ("test", "generated"))


def _noisy(rows: list[AccuracyRow], label: str, noise: float | None) -> list[str]:
    """The same over the box, with noise."""
    found = {row.split: row.rmse for row in rows if (row.label, row.region, row.signal_to_noise) == (label, BOX, noise)}
    return [_number(found[part]) for part in ("test", "generated")]


def _named(label: Label) -> str:
    return f"{label.name} ({plain_markdown(label.unit)})" if label.unit else label.name


def _code(text: str) -> str:
    """A name, such as a file's, between backticks."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def plain_markdown(text: str) -> str:
    """A text of a contract or a grid as Markdown that shows it as it stands, on one line."""
    return re.sub(r"([\\`*<>|]|(?<=\])[(:\[])", r"\\\1", " ".join(text.split()))


def _region(name: str) -> str:
    return {BOX: "uniform label box", ALL: "all, as sampled"}.get(name, name)


def _number(value: float) -> str:
    """A number in three significant digits, without an exponent."""
    digits = max(0, 2 - int(np.floor(np.log10(max(value, 1e-9)))))
    return f"{value:.{digits}f}"


def _small(value: float) -> str:
    """An error of flux as text; a contract without line cores has none for them."""
    return "none" if np.isnan(value) else f"{value:.2e}"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
