"""What becomes of a foreign grid: its labels, the axes of its spectra, and whether they are intrinsic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, IntrinsicAxis, WavelengthAxis
from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import ForeignSpectrum, Member

Array = NDArray[np.float64]

SHARPEST = 40000.0
"""Largest resolution that is drafted unless the user gives one."""

FASTEST = 300.0
"""Largest vsini in km/s that is drafted."""

STEPS_WANTED, STEPS_NEEDED = 8.0, 4.0
"""Bins of the intrinsic axis for each FWHM of the sharpest instrument: as many as there are points for, at least."""

PIXELS_PER_FWHM = 3.0
"""Pixels of the drafted axis for each FWHM of the sharpest instrument."""

COUNT = 1e-4
"""Step in which intrinsic flux is stored; 65535 of them are the largest flux."""

ALIKE = 1e-2
"""Fraction of a step by which two axes may differ to be one."""


@dataclass(frozen=True)
class Axes:
    """Axes of an imported grid. intrinsic, resolution (lower and upper bound), fastest: None if it has none of them."""

    wavelength: WavelengthAxis
    intrinsic: IntrinsicAxis | None
    resolution: tuple[float, float] | None = None
    fastest: float | None = None


def common_labels(members: Sequence[Member]) -> tuple[list[str], dict[str, float], dict[str, str]]:
    """Labels that vary, those that never do with their value, and the spectra that lack one of either, by key.

    Raises
    ------
    InputError
        If no label varies, or two spectra have the same labels: then one that tells them apart is missing.
    """
    counts: dict[str, int] = {}
    for member in members:
        for name in member.labels:
            counts[name] = counts.get(name, 0) + 1
    common = [name for name, count in counts.items() if count > len(members) / 2]
    lacking = {
        member.key: f"has no label {', '.join(name for name in common if name not in member.labels)}"
        for member in members
        if not set(common) <= set(member.labels)
    }
    whole = [member for member in members if member.key not in lacking]
    values = {name: np.array([member.labels[name] for member in whole]) for name in common}
    fixed = {name: float(found[0]) for name, found in values.items() if (found == found[0]).all()}
    varying = sorted((name for name in common if name not in fixed), key=_rank)
    if not varying:
        stated = ", ".join(f"{name} = {value:g}" for name, value in fixed.items()) or "there is none"
        raise InputError(
            f"{len(whole)} {'spectrum' if len(whole) == 1 else 'spectra'} and no label that varies ({stated}): "
            "an emulator needs spectra at different labels"
        )
    _require_apart(whole, varying)
    return varying, fixed, lacking


def _rank(name: str) -> tuple[int, str]:
    """Place of a label in a contract: temperature and gravity first."""
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


_FIRST = ("teff", "logg", "m_h", "alpha_m", "vmicro")


def _require_apart(members: Sequence[Member], names: Sequence[str]) -> None:
    seen: dict[tuple[float, ...], str] = {}
    same = []
    for member in members:
        place = tuple(member.labels[name] for name in names)
        if place in seen:
            same.append((seen[place], member.key))
        seen.setdefault(place, member.key)
    if same:
        first, second = same[0]
        raise InputError(
            f"{len(same)} of {len(members)} spectra have the labels of another, such as {first} and {second} "
            f"({', '.join(names)}): a label that tells them apart is missing, or a file is there twice"
        )


def is_intrinsic(spectrum: ForeignSpectrum, resolution: float | None, wanted: tuple[float, float] | None) -> bool:
    """Whether spectra without a broadening of their own are sampled finely enough to be broadened later."""
    if resolution is not None:
        return False
    return _finest(spectrum.wavelength) >= (wanted[1] if wanted else 2000.0)


def intrinsic_axes(
    wavelength: Array, medium: Medium, span: tuple[float, float] | None, wanted: tuple[float, float] | None
) -> Axes:
    """Axes for intrinsic spectra given at some wavelengths, between the two of ``span`` if it is given.

    wanted: smallest and largest resolution that the emulator should know. Rotation and the widest instrument need
    margins beyond the axis of the broadened spectra, which take a share of the range.

    Raises
    ------
    InputError
        If the sampling is too coarse for the resolution, or the range too narrow.
    """
    finest = _finest(wavelength)
    lower, upper = wanted if wanted else (0.0, min(SHARPEST, _rounded(finest)))
    lower = lower if wanted else _rounded(upper / 4.0)
    if upper > finest * 1.001:
        raise InputError(
            f"resolution {upper:g} asks for {STEPS_NEEDED:g} points a FWHM, the spectra have them to {finest:.0f}: "
            "give a smaller --resolution"
        )
    native = SPEED_OF_LIGHT / (STEPS_NEEDED * finest)
    step = max(native, SPEED_OF_LIGHT / (STEPS_WANTED * upper))
    first, last = wavelength[0], wavelength[-1]
    widest = SPEED_OF_LIGHT * np.log(last / first)
    fastest = _tens(min(FASTEST, 0.15 * widest))
    margin = fastest + 2.0 * SPEED_OF_LIGHT / lower
    stretch = np.exp(margin / SPEED_OF_LIGHT)
    if span is not None:
        first, last = max(first, span[0] / stretch), min(last, span[1] * stretch)
    intrinsic = IntrinsicAxis(
        start=_up(first), stop=_down(last), velocity_step=_significant(step), flux_per_count=COUNT, medium=medium
    )
    start, stop = intrinsic.edges[0] * stretch, intrinsic.edges[-1] / stretch
    velocity = _significant(SPEED_OF_LIGHT / (PIXELS_PER_FWHM * upper))
    count = int(SPEED_OF_LIGHT * np.log(stop / start) / velocity)
    if count < 32:
        raise InputError(
            f"{first:.6g} to {last:.6g} A is too narrow: vsini to {fastest:g} km/s and resolution {lower:g} take "
            f"{margin:.0f} km/s at either end: give a larger --resolution"
        )
    axis = WavelengthAxis(start=_up(start), velocity_step=velocity, count=count, unit="Angstrom", medium=medium)
    return Axes(axis, intrinsic, (lower, upper), fastest if fastest >= 20.0 else None)


def given_axes(wavelength: Array, medium: Medium, span: tuple[float, float] | None) -> Axes:
    """The files' own pixels as an axis: linear or logarithmic if they are, else listed."""
    if span is not None:
        wavelength = wavelength[(wavelength >= span[0]) & (wavelength <= span[1])]
    if len(wavelength) < 2:
        raise InputError("fewer than two pixels lie within --range: give a wider one")
    fixed = {"start": float(wavelength[0]), "count": len(wavelength), "unit": "Angstrom", "medium": medium}
    steps = len(wavelength) - 1
    for name, step in (
        ("step", (wavelength[-1] - wavelength[0]) / steps),
        ("velocity_step", SPEED_OF_LIGHT * np.log(wavelength[-1] / wavelength[0]) / steps),
    ):
        axis = WavelengthAxis.model_validate({**fixed, name: float(step)})
        if np.abs(axis.pixels - wavelength).max() < ALIKE * np.diff(wavelength).min():
            return Axes(axis, None)
    listed = {"wavelengths": np.round(wavelength, 6).tolist(), "unit": "Angstrom", "medium": medium}
    return Axes(WavelengthAxis.model_validate(listed), None)


def same_axis(axis: WavelengthAxis, wavelength: Array) -> slice | None:
    """Where the pixels of an axis lie among wavelengths, if they are among them; None if they are not."""
    first = int(np.argmin(np.abs(wavelength - axis.pixels[0])))
    part = slice(first, first + axis.count)
    if len(wavelength[part]) == axis.count and axis.matches(wavelength[part]).all():
        return part
    return None


def _finest(wavelength: Array) -> float:
    """Largest resolution for which there are points enough: by the median step, since files are finest at lines."""
    return float(SPEED_OF_LIGHT / (STEPS_NEEDED * SPEED_OF_LIGHT * np.median(np.diff(np.log(wavelength)))))


def _rounded(value: float) -> float:
    """A number rounded down to two digits."""
    power = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / power + 1e-9) * power)


def _significant(value: float) -> float:
    return float(f"{value:.6g}")


def _tens(value: float) -> float:
    return float(np.floor(value / 10.0) * 10.0)


def _up(value: float) -> float:
    return float(np.ceil(value * 1e4) / 1e4)


def _down(value: float) -> float:
    return float(np.floor(value * 1e4) / 1e4)
