"""Rotation, the instrument and other broadening as exact convolutions on a logarithmic wavelength axis.

All kernels have constant width in velocity, so they are products of Fourier modes: Gray's rotation profile (The
Observation and Analysis of Stellar Photospheres, ch. 18), a Gaussian of FWHM = wavelength / resolution, and the
profiles of further roles, each in a file of its own in this room (`macroturbulence`). Because the instrument passes no
detail finer than its own width, few modes are enough; their sum is taken at the pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.disc_series import DiscSeries, disc_series, profile_of
from stellar_emulator.broadening.fourier_sum import FourierSum, fourier_sum
from stellar_emulator.broadening.rotation import rotation_series
from stellar_emulator.contract.axis import SPEED_OF_LIGHT, IntrinsicAxis, WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.medium import converted
from stellar_emulator.contract.roles import RESOLUTION, ROTATION
from stellar_emulator.errors import InputError

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))

NEGLIGIBLE_TRANSFER = 1e-4
"""Modes that the sharpest instrument transmits by less than this are dropped: they would change no pixel by 1e-5."""


@dataclass(frozen=True)
class Broadening:
    """Broadens spectra given as Fourier modes and samples them at the pixels of one wavelength axis.

    The modes are those of the spectrum as the sharpest instrument sees it without rotation, real parts then
    imaginary, scaled so that squared differences of modes are those of flux. bins: of the intrinsic axis; frequencies:
    cycles per km/s, shape (modes,); response: from intrinsic flux to modes, shape (modes,); sharpest: that
    instrument's resolution; rotation: transfer by vsini and limb darkening, None without it; synthesis: modes to
    pixels; profiles: the same as ``rotation`` for further labels, by role.
    """

    bins: int
    frequencies: NDArray[np.float64]
    response: NDArray[np.float64]
    sharpest: float
    rotation: DiscSeries | None
    synthesis: FourierSum
    profiles: Mapping[str, DiscSeries] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        return self.synthesis.pixels

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one spectrum."""
        series = sum(one.disc.size + one.difference.size for one in self.disc_series.values())
        return self.synthesis.multiply_adds + series

    @property
    def disc_series(self) -> dict[str, DiscSeries]:
        """Series of all profiles that depend on limb darkening, by role, with rotation first."""
        return ({} if self.rotation is None else {ROTATION: self.rotation}) | dict(self.profiles)

    def modes(self, intrinsic: NDArray[np.floating]) -> NDArray[np.float32]:
        """Modes of intrinsic spectra, (runs, bins) to (runs, 2 modes).

        Raises
        ------
        InputError
            If the spectra have another number of bins.
        """
        if intrinsic.shape[-1] != self.bins:
            raise InputError(f"intrinsic spectra have {intrinsic.shape[-1]} bins, this broadening takes {self.bins}")
        spectrum = np.fft.rfft(intrinsic, axis=-1)[..., : len(self.frequencies)] * self.response
        return np.concatenate([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)

    def transfer(
        self,
        vsini: NDArray[np.float64] | None,
        resolution: NDArray[np.float64],
        limb_darkening: NDArray[np.float64],
        others: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> NDArray[np.float32]:
        """Product of the transfer functions of all kernels, relative to the sharpest instrument; from (n,) each to (n,
        modes).

        vsini: None without rotation; others: values of further labels, by role, one for each of ``profiles``.
        """
        extra = instrument_sigma(resolution) ** 2 - instrument_sigma(self.sharpest) ** 2
        exponent = np.outer(-2.0 * np.pi**2 * extra, self.frequencies**2).astype(np.float32)
        instrument = np.exp(exponent, out=exponent)
        given = {**(others or {}), **({} if vsini is None else {ROTATION: vsini})}
        for role, series in self.disc_series.items():
            instrument *= series(given[role], limb_darkening)
        return instrument

    def __call__(
        self,
        modes: NDArray[np.float32],
        vsini: NDArray[np.float64] | None,
        resolution: NDArray[np.float64],
        limb_darkening: NDArray[np.float64],
        others: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> NDArray[np.float32]:
        """Broadened flux, (n, 2 modes) to (n, pixels).

        vsini and others: as `transfer` takes them, in km/s; limb darkening: linear; each of shape (n,).
        """
        transfer = self.transfer(vsini, resolution, limb_darkening, others)
        return self.synthesis(modes * np.concatenate([transfer, transfer], axis=-1))

    def at_labels(
        self,
        contract: Contract,
        modes: NDArray[np.float32],
        labels: NDArray[np.floating],
        limb_darkening: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Broadened flux, (n, 2 modes) to (n, pixels), at the broadening ones of labels (n, labels)."""
        places = {role: contract.column_of(role) for role in self.disc_series}
        given = {role: labels[:, place].astype(np.float64) for role, place in places.items() if place is not None}
        return self(modes, given.pop(ROTATION, None), resolutions(contract, labels), limb_darkening, given)


def broadening(
    intrinsic: IntrinsicAxis,
    wavelength: WavelengthAxis,
    sharpest: float,
    fastest: float | None,
    largest: Mapping[str, float] | None = None,
    negligible: float = NEGLIGIBLE_TRANSFER,
    served: float | None = None,
) -> Broadening:
    """Prepare broadening from an intrinsic axis to pixels, for resolutions up to ``sharpest``, vsini to ``fastest``.

    fastest: None without rotation; largest: values of further labels, by role; negligible: transfer below which modes
    are dropped; served: resolution of the instrument whose transfer that is, absent: of the sharpest.

    Raises
    ------
    InputError
        If the pixels reach beyond the intrinsic axis.
    """
    pixels = converted(wavelength.pixels, wavelength.medium, intrinsic.medium)
    if pixels[0] < intrinsic.edges[0] or pixels[-1] > intrinsic.edges[-1]:
        raise InputError(
            f"wavelengths {pixels[0]:.1f}-{pixels[-1]:.1f} A (in {intrinsic.medium}) reach beyond the intrinsic "
            f"spectra ({intrinsic.edges[0]:.1f}-{intrinsic.edges[-1]:.1f} A)"
        )
    bins, step = len(intrinsic.wavelength), intrinsic.velocity_step
    sigma = float(instrument_sigma(sharpest))
    frequencies = np.arange(mode_count(intrinsic, served or sharpest, negligible)) / (bins * step)
    # Averaging over bins is itself a convolution, undone here; negative frequencies are folded onto positive ones.
    twice = np.where(frequencies > 0, np.sqrt(2.0), 1.0)
    instrument = np.exp(-2.0 * (np.pi * sigma * frequencies) ** 2)
    angles = 2.0 * np.pi / (bins * step) * pixel_velocities(intrinsic, wavelength)
    return Broadening(
        bins=bins,
        frequencies=frequencies,
        response=twice * instrument / (bins * np.sinc(frequencies * step)),
        sharpest=sharpest,
        rotation=None if fastest is None else rotation_series(frequencies, fastest),
        synthesis=fourier_sum(angles, instrument),
        profiles={role: disc_series(profile_of(role), frequencies, value) for role, value in (largest or {}).items()},
    )


def mode_count(intrinsic: IntrinsicAxis, resolution: float, negligible: float = NEGLIGIBLE_TRANSFER) -> int:
    """How many modes of spectra on an intrinsic axis an instrument passes, with a transfer above ``negligible``."""
    bins = len(intrinsic.wavelength)
    highest = np.sqrt(-np.log(negligible) / 2.0) / (np.pi * float(instrument_sigma(resolution)))
    return min(bins // 2, int(np.ceil(highest * bins * intrinsic.velocity_step)))


def pixel_velocities(intrinsic: IntrinsicAxis, wavelength: WavelengthAxis) -> NDArray[np.float64]:
    """Positions of the pixels on the intrinsic axis, in km/s from the centre of its first bin, shape (pixels,)."""
    pixels = converted(wavelength.pixels, wavelength.medium, intrinsic.medium)
    return np.asarray(np.log(pixels / intrinsic.wavelength[0]) * SPEED_OF_LIGHT)


def contract_broadening(
    contract: Contract, negligible: float = NEGLIGIBLE_TRANSFER, *, served: bool = False
) -> Broadening:
    """Broadening for a contract's own axes and resolution bound.

    served: whether modes that a fixed instrument does not pass are left out, though networks for sharper ones know
    them.

    Raises
    ------
    InputError
        If the contract has no intrinsic axis, or does not state the resolution.
    """
    resolution = contract.of_role(RESOLUTION)
    if contract.intrinsic is None or (contract.instrument is None and resolution is None):
        raise InputError(
            f"contract {contract.name} can't broaden: it needs an intrinsic axis, and the label resolution or an "
            "instrument"
        )
    sharpest = resolution.upper if resolution is not None else contract.instrument.sharpest  # type: ignore[union-attr]
    largest = {label.role: label.upper for label in contract.broadening_labels if label.role != RESOLUTION}
    fastest = largest.pop(ROTATION, None)
    axes = contract.intrinsic.model_dump_json(), contract.wavelength.model_dump_json()
    own = contract.instrument.resolution if served and contract.instrument else None
    return _kept(*axes, sharpest, fastest, tuple(largest.items()), negligible, own)


def resolutions(contract: Contract, labels: NDArray[np.floating]) -> NDArray[np.float64]:
    """Resolution of each spectrum, shape (n,), for labels (n, labels): from a label, or the instrument's for all."""
    if contract.instrument:
        return np.full(len(labels), contract.instrument.resolution)
    return np.asarray(labels[:, contract.column_of(RESOLUTION)], dtype=np.float64)


@lru_cache(maxsize=4)
def _kept(
    intrinsic: str,
    wavelength: str,
    sharpest: float,
    fastest: float | None,
    largest: tuple[tuple[str, float], ...],
    negligible: float,
    served: float | None,
) -> Broadening:
    """The same broadening for grid, targets and emulator; its arguments are plain values, which a cache can compare."""
    axes = IntrinsicAxis.model_validate_json(intrinsic), WavelengthAxis.model_validate_json(wavelength)
    return broadening(*axes, sharpest, fastest, dict(largest), negligible, served)


def instrument_sigma(resolution: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Standard deviation in km/s of the Gaussian instrument profile whose FWHM is wavelength / resolution."""
    return np.asarray(SPEED_OF_LIGHT / (np.asarray(resolution) * FWHM_PER_SIGMA))
