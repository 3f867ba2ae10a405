"""The record of one trial, in a file of its own, so that it is trained once however the search ends."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from stellar_emulator.networks.preset import Preset
from stellar_emulator.system.files import read_json, write_file
from stellar_emulator.tuning.hypermodel import Value

TrialVerdict = Literal["completed", "pruned", "promoted", "failed"]
"""pruned: stopped by the algorithm before its last epoch; promoted: likewise, but a later trial continued from it."""

RESULT = "result.json"


@dataclass(frozen=True)
class Figures:
    """The errors of a trained trial on validation runs, and the cost of one spectrum.

    mae: mean absolute error of flux, weighted to the uniform box; hard_mae: that of the hard region (NaN without
    spectra there); core_mae, hard_core_mae: those inside line cores.
    """

    mae: float
    hard_mae: float
    core_mae: float
    hard_core_mae: float
    parameters: int
    multiply_adds: int
    milliseconds: float


@dataclass(frozen=True)
class TrialResult:
    """One trial that ended.

    origin: ``paper`` or ``default`` for a given preset, else ``searched``; earlier: trial from whose weights it
    continued; values: Keras Tuner's hyperparameters; preset: as it was trained, with the epochs that were run; seconds:
    time of the whole trial; fit_seconds: part of it inside fits; figures: None if it failed.
    """

    trial: str
    origin: str
    earlier: str | None
    values: Mapping[str, Value]
    preset: Preset
    verdict: TrialVerdict
    reason: str
    seconds: float
    fit_seconds: float
    figures: Figures | None


def write_result(folder: Path, result: TrialResult) -> None:
    """Write ``result.json``, complete or not at all."""
    content = {**asdict(result), "preset": result.preset.model_dump(mode="json")}
    write_file(folder / RESULT, json.dumps(content, indent=1))


def read_result(folder: Path) -> TrialResult | None:
    """The result in a trial's folder, None if the trial has not ended or its file is damaged."""
    content: dict[str, Any] | None = read_json(folder / RESULT)
    if content is None:
        return None
    figures = content["figures"] and Figures(**content["figures"])
    return TrialResult(**{**content, "preset": Preset.model_validate(content["preset"]), "figures": figures})


def figures_of(result: TrialResult) -> dict[str, float]:
    """The figures of a trial that it has, by name."""
    figures = {} if result.figures is None else asdict(result.figures)
    return {name: value for name, value in figures.items() if not math.isnan(value)}
