"""Section "pixels": the error of every pixel and of every line, so that none hides behind the mean over thousands."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.contract.regions import BOX
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.described import described
from stellar_emulator.gate.pixel_errors import PixelErrors


def pixel_criteria(contract: Contract, limits: GateLimits, errors: PixelErrors) -> list[Criterion]:
    """Ask for a small error of every pixel over the box and in each part of it, and of every line."""
    ceiling, bounds = limits.flux_error.mae, limits.pixels
    box = errors.names.index(BOX)
    found = [
        _pixel("RMS error of any pixel over the box / MAE ceiling", contract, errors, [box], ceiling, bounds.box),
        _pixel(
            "RMS error of any pixel in any region / MAE ceiling",
            contract,
            errors,
            [i for i in range(len(errors.names)) if i != box] or [box],
            ceiling,
            bounds.region,
        ),
    ]
    figure = errors.largest / ceiling
    name, note = "error of any pixel of any spectrum / MAE ceiling", f"at {described(contract, errors.largest_at)}"
    found.append(Criterion("pixels", name, figure, bounds.any, figure <= bounds.any, note=note, rule="<="))
    own = [i for i, name in enumerate(errors.lines) if name in contract.regions.line_cores]
    others = [i for i in range(len(errors.lines)) if i not in own]
    found += [_line(f"{errors.lines[i]}: error of the equivalent width", errors, [i], bounds.line) for i in own]
    if others:
        found.append(
            _line(f"any of {len(others)} other lines: error of its equivalent width", errors, others, bounds.line)
        )
    return found


def _pixel(
    name: str, contract: Contract, errors: PixelErrors, parts: list[int], ceiling: float, bound: float
) -> Criterion:
    rms = errors.rms[parts]
    part, pixel = np.unravel_index(int(np.argmax(rms)), rms.shape)
    figure, axis = float(rms[part, pixel] / ceiling), contract.wavelength
    note = f"at {axis.pixels[pixel]:.6g} {axis.unit}, {errors.names[parts[int(part)]]}"
    return Criterion("pixels", name, figure, bound, figure <= bound, note=note, rule="<=")


def _line(name: str, errors: PixelErrors, lines: list[int], bound: float) -> Criterion:
    ratio = errors.width_ratio[:, lines]
    part, line = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    figure = float(ratio[part, line])
    note = f"{errors.lines[lines[int(line)]]}, {errors.names[int(part)]}"
    return Criterion("pixels", name, figure, bound, figure <= bound, note=note, rule="<=")


def pixel_table(contract: Contract, errors: PixelErrors) -> list[Mapping[str, Any]]:
    """A row for each part of the box: its worst pixel and its worst line."""
    rows: list[Mapping[str, Any]] = []
    for i, name in enumerate(errors.names):
        pixel = int(np.argmax(errors.rms[i]))
        row = {
            "region": name,
            "wavelength": float(contract.wavelength.pixels[pixel]),
            "rms": float(errors.rms[i, pixel]),
        }
        if errors.lines:
            line = int(np.argmax(errors.width_ratio[i]))
            row |= {"line": errors.lines[line], "width_error": float(errors.width_ratio[i, line])}
        rows.append(row)
    return rows
