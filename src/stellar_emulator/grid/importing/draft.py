"""Drafts the data contract of an imported grid from what is there: labels, bounds, axes, regions; no gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import yaml
from numpy.typing import NDArray

from stellar_emulator.grid.importing.plan import Axes
from stellar_emulator.grid.nodes import hull_corners
from stellar_emulator.grid.readers.names import SYMBOLS, UNITS

SEED, GATE_SEED = 20240, 80451

SPECTRA_WANTED = 8192
"""Broadened spectra that an imported grid of intrinsic ones is expanded to, as far as the draws of a run allow."""

MOST_DRAWS = 32

MOST_CORNERS = 256
"""Corners of a hull above which it is left out of the contract."""

VSINI_EDGES = (0.0, 20.0, 60.0, 150.0, 300.0)


@dataclass(frozen=True)
class Draft:
    """What a contract states of a grid. nodes: labels of its runs, (runs, names); flux: smallest and largest value."""

    name: str
    description: str
    names: Sequence[str]
    nodes: NDArray[np.float64]
    axes: Axes
    flux: tuple[float, float]
    limb_darkening: float | None
    notes: Sequence[str]


def drafted(draft: Draft) -> str:
    """The contract as YAML text."""
    content: dict[str, object] = {
        "name": draft.name,
        "description": draft.description,
        "models": {
            "emulator": f"{draft.name.replace('_', '-')}-emulator",
            "validator": f"{draft.name.replace('_', '-')}-label-validator",
        },
        "labels": [*_run_labels(draft), *_broadening_labels(draft.axes)],
        "wavelength": draft.axes.wavelength.model_dump(mode="json", exclude_none=True),
        "flux": _flux_range(*draft.flux),
    }
    if draft.axes.intrinsic is not None:
        content["intrinsic"] = draft.axes.intrinsic.model_dump(mode="json")
    if draft.limb_darkening is not None:
        content["limb_darkening"] = {"value": draft.limb_darkening}
    draws = 1 if draft.axes.intrinsic is None else int(np.clip(SPECTRA_WANTED / len(draft.nodes), 2, MOST_DRAWS))
    content["sampling"] = {"seed": SEED, "gate_seed": GATE_SEED, "realisations": draws, "runs": "nodes"}
    content["split"] = {"train": 0.8, "validation": 0.1, "test": 0.1}
    content["regions"] = _regions(draft)
    corners = hull_corners(draft.nodes)
    if 0 < len(corners) <= MOST_CORNERS:
        content["hull"] = {"outside": "refuse", "distance": 0.05, "corners": draft.nodes[corners].tolist()}
    # Two nodes nearer than this are one, under two numbers.
    content["expectations"] = {"identity": {"run_distance": 1.0e-6}}
    head = ["# Drafted by `stellar-emulator import` from the spectra themselves; docs/contract.md explains each field."]
    head += [f"# {note}" for note in draft.notes]
    head += [
        "# It has no gate: margins must come from someone who knows what the models are for. promote goes by",
        "# cross-validation over the runs until it has one.",
    ]
    return "\n".join([*head, yaml.dump(content, sort_keys=False, width=120, Dumper=_Dumper)])


class _Dumper(yaml.SafeDumper):
    """Writes short lists and label tables in one line."""


def _in_line(dumper: yaml.SafeDumper, value: list[object]) -> yaml.Node:
    plain = all(isinstance(one, int | float) for one in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


def _mapping(dumper: yaml.SafeDumper, value: Mapping[str, object]) -> yaml.Node:
    short = "symbol" in value or all(isinstance(one, int | float | str) for one in value.values())
    return dumper.represent_mapping(
        "tag:yaml.org,2002:map", value, flow_style=(short and "name" not in value) or "symbol" in value
    )


_Dumper.add_representer(list, _in_line)
_Dumper.add_representer(dict, _mapping)


def _run_labels(draft: Draft) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for name, values in zip(draft.names, draft.nodes.T, strict=True):
        symbol = SYMBOLS.get(name, f"\\mathrm{{{name.replace('_', chr(92) + '_')}}}")
        unit = UNITS.get(name, "dex")
        bounds = {"lower": float(values.min()), "upper": float(values.max())}
        found.append({"name": name, "symbol": symbol, "unit": unit, **bounds, "kind": "run", "accuracy": True})
    return found


def _broadening_labels(axes: Axes) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    if axes.fastest is not None:
        bounds = {"lower": 0.0, "upper": axes.fastest, "kind": "broadening", "accuracy": True}
        found.append({"name": "vsini", "symbol": "v \\sin i", "unit": "km/s", **bounds})
    if axes.resolution is not None:
        lower, upper = axes.resolution
        bounds = {"lower": lower, "upper": upper, "kind": "broadening", "accuracy": False}
        found.append({"name": "resolution", "symbol": "R", "unit": "", **bounds})
    return found


def _flux_range(lowest: float, highest: float) -> dict[str, float]:
    """Bounds that hold all spectra, with a margin for what lies between nodes, in steps of 0.05."""
    lower = min(0.0, np.floor(lowest * 20.0 - 0.5) / 20.0)
    return {"lower": float(round(lower, 2)), "upper": float(round(np.ceil(highest * 20.0 + 0.5) / 20.0, 2))}


def _regions(draft: Draft) -> dict[str, object]:
    """Bins of the first two labels by their nodes; the hard region is the lower half of the first label."""
    bins: dict[str, object] = {}
    for name, values in list(zip(draft.names, draft.nodes.T, strict=True))[:2]:
        unique = np.unique(values)
        edges = np.unique(np.quantile(unique, np.linspace(0.0, 1.0, min(4, len(unique) - 1) + 1)))
        bins[name] = [float(round(edge, 6)) for edge in edges]
    if draft.axes.fastest is not None:
        inner = [edge for edge in VSINI_EDGES if edge < draft.axes.fastest]
        bins["vsini"] = [*inner, draft.axes.fastest]
    first = np.unique(draft.nodes[:, 0])
    middle = float(np.median(first)) if len(first) > 2 else float(first[-1])
    width = draft.axes.wavelength.width
    return {
        **bins,
        "hard": {draft.names[0]: [float(first[0]), middle]},
        "line_cores": {},
        "line_core_half_width": float(f"{10.0 * width:.3g}"),
        "equivalent_width_half_width": float(f"{100.0 * width:.3g}"),
    }
