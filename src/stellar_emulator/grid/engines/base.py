"""The protocol that every radiative-transfer code provides, and the check that a code serves a contract."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import IntrinsicAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.medium import Medium
from stellar_emulator.contract.roles import ELEMENT, ELEMENT_NAME
from stellar_emulator.errors import InputError, StellarEmulatorError
from stellar_emulator.grid.engines.intrinsic import IntrinsicSpectrum, require_intrinsic_axis


class RunFailedError(StellarEmulatorError):
    """One radiative-transfer computation gave no usable spectrum; the message repeats the engine's last output."""


class Engine(Protocol):
    """A radiative-transfer code with its settings. Workers receive it pickled."""

    @property
    def name(self) -> str:
        """The name that a grid's provenance records."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Run labels that a contract must have, all of them, by name: in K, dex (cgs), dex and km/s."""

    @property
    def optional(self) -> tuple[str, ...]:
        """Run labels that it takes beside these where a contract has them, in dex; at 0 where it has not."""

    @property
    def elements(self) -> frozenset[str]:
        """Symbols, in small letters, of the elements whose abundances it takes besides these; empty if none."""

    @property
    def medium(self) -> Medium:
        """The medium of the wavelengths at which it computes."""

    @property
    def known_limits(self) -> tuple[str, ...]:
        """Sentences that a grid's provenance repeats."""

    def provenance(self) -> dict[str, Any]:
        """All settings that determine a run's spectrum besides its labels and axis, as JSON: they may not change within
        a grid.

        Model cards show ``parts`` (with SHA-256), ``abundances`` (a sentence) and ``NAME_settings`` of it.
        """

    def machine(self) -> dict[str, str]:
        """The tools of this machine, such as its compiler, for the provenance of one call."""

    def install(self, axis: IntrinsicAxis) -> None:
        """Prepare everything that runs on an axis need. Raises `SetupError` if a part is missing."""

    def synthesise(self, axis: IntrinsicAxis, labels: Mapping[str, float]) -> IntrinsicSpectrum:
        """Compute one run.

        labels: those that it takes; abundances of elements are named as ``ca_m``, [Ca/M] in dex.

        Raises
        ------
        RunFailedError
            If there is no usable spectrum.
        SetupError
            If a part is missing.
        """


def require_served(engine: Engine, contract: Contract) -> IntrinsicAxis:
    """The contract's intrinsic axis. Raises `InputError` if an engine can't compute the contract's runs."""
    axis = require_intrinsic_axis(contract)
    names = {label.name for label in contract.run_labels if label.role != ELEMENT}
    taken = {*engine.labels, *engine.optional}
    if not set(engine.labels) <= names <= taken or axis.medium != engine.medium:
        also = f", and no other than {', '.join(engine.optional)}" if engine.optional else ""
        raise InputError(
            f"contract {contract.name} can't be synthesised with {engine.name}: it needs an intrinsic axis in "
            f"{engine.medium} (got {axis.medium}) and the run labels {', '.join(engine.labels)}{also} "
            f"(got {', '.join(sorted(names))})"
        )
    for label in contract.run_labels:
        if label.role == ELEMENT and element_of(label.name) not in engine.elements:
            known = ", ".join(sorted(engine.elements)) or "none"
            raise InputError(
                f"contract {contract.name} can't be synthesised with {engine.name}: label {label.name} is of an "
                f"element that it does not vary; those are {known}"
            )
    return axis


def element_of(name: str) -> str:
    """Symbol of a label of role element, in small letters: ``ca`` of ``ca_m``."""
    found = re.fullmatch(ELEMENT_NAME, name)
    return found[1] if found else ""


def synthesised(engine: Engine, contract: Contract, labels: NDArray[np.float64]) -> IntrinsicSpectrum:
    """Compute one run; ``labels`` are the contract's run labels, shape (run labels,). Raises as `Engine.synthesise`.

    Raises
    ------
    InputError
        If the engine can't serve the contract.
    RunFailedError
        If an array is not finite or has another shape; also if the engine raises it.
    """
    axis = require_served(engine, contract)
    named = {label.name: float(value) for label, value in zip(contract.run_labels, labels, strict=True)}
    spectrum = engine.synthesise(axis, named)
    if spectrum.flux.shape != axis.wavelength.shape:
        raise RunFailedError(f"{engine.name} gave {spectrum.flux.shape} for {axis.wavelength.shape} bins")
    if not all(np.isfinite(array).all() for array in (spectrum.flux, spectrum.continuum) if array is not None):
        raise RunFailedError("flux or continuum is not finite")
    return spectrum
