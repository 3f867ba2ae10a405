"""The peers' package astro-emulators-toolkit, trained by its own presets for some seconds."""

import contextlib
import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

PACKAGE = "astro_emulators_toolkit"
INSTALL = "python3 start.py setup benchmarks"

TRIAL_SHARE = 0.05
"""Of the time, for the trial that finds how many steps fit into it."""

COMPILED, CYCLE = 2, 10
"""Steps after which a trial's clock starts, and those of one cycle: the optimizer does more in one step of ten."""

TRIAL_LIMIT = 1_000_000

WAVELENGTHS = 500
"""Drawn of each spectrum in a step of the Transformer Payne, as in the package's examples."""


@dataclass(frozen=True)
class Learned:
    """generate: labels scaled to [0, 1] (n, labels) to flux (n, pixels)."""

    generate: Callable[[Array], Array]
    steps: int
    seconds: float


def require_toolkit() -> None:
    """Exit with the command that installs the package where it is missing."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise SystemExit(f"{PACKAGE.replace('_', '-')} is missing: {INSTALL}")


def train(
    preset: str,
    labels: Array,
    flux: Array,
    wavelength: NDArray[np.float64],
    seconds: float,
    optimizer: str | None = None,
) -> Learned:
    """Train ``payne_flux_mlp`` or ``transformer_payne_flux`` on labels in [0, 1] (n, labels) and flux (n, pixels).

    Settings are those of the preset's profile ``cpu_recommended``; ``optimizer`` replaces its SOAP. Steps are as many
    as fit in the time, by a short trial whose own time isn't counted; learning rates rise over as large a share of them
    as in the preset, then fall to zero. The package keeps the last weights: it doesn't stop early.
    """
    import jax
    from astro_emulators_toolkit import Emulator, presets
    from astro_emulators_toolkit.data import TreeArrayDataset

    jax.config.update("jax_enable_x64", True)  # the package wants wavelengths in double precision
    transforms = preset.startswith("transformer")
    examples = TreeArrayDataset(x={"parameters": labels}, y={"flux": flux})

    def fit(steps: int, callbacks: list[Any]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            config = _for_steps(getattr(presets, preset)(workdir=folder), steps, optimizer)
            emulator = Emulator.from_config(config)
            sampled = _sampled(emulator, wavelength) if transforms else None
            emulator.fit(examples, callbacks=callbacks, device_batch_transform=sampled)
        return emulator

    clock = _clock(TRIAL_SHARE * seconds)
    with contextlib.suppress(_EnoughError):
        fit(TRIAL_LIMIT, [clock])
    steps = steps_in(seconds, clock.ended)
    began = time.monotonic()
    emulator = fit(steps, [])
    spent = time.monotonic() - began
    return Learned(_generate(emulator, wavelength if transforms else None), steps, spent)


def steps_in(seconds: float, ended: Sequence[float]) -> int:
    """Steps that fit into a time, compiling included, by the seconds after which each step of a trial ended."""
    cycles = (len(ended) - COMPILED) // CYCLE
    pace = (ended[COMPILED + cycles * CYCLE - 1] - ended[COMPILED - 1]) / (cycles * CYCLE)
    return max(CYCLE, COMPILED + int((seconds - ended[COMPILED - 1]) / pace))


def _for_steps(config: Any, steps: int, optimizer: str | None) -> Any:
    """A preset for another number of steps, told every one of them, and for another optimizer."""
    warmup = steps * config.optim.warmup_steps // config.training.num_steps
    return dataclasses.replace(
        config,
        optim=dataclasses.replace(config.optim, warmup_steps=max(1, warmup), name=optimizer or config.optim.name),
        training=dataclasses.replace(config.training, num_steps=steps, logging_interval_steps=1),
    )


def _sampled(emulator: Any, wavelength: NDArray[np.float64]) -> Any:
    """What draws the wavelengths of a step."""
    return emulator.make_device_batch_transform(
        wavelength_grid=wavelength,
        n_wavelength=WAVELENGTHS,
        eval_wavelength_grid=np.linspace(wavelength[0], wavelength[-1], WAVELENGTHS),
    )


class _EnoughError(Exception):
    """Ends a trial."""


def _clock(least: float) -> Any:
    from astro_emulators_toolkit.training.callbacks import Callback

    class Clock(Callback):  # type: ignore[misc]
        """When each step of a trial ended; ends it after one cycle of steps and ``least`` seconds."""

        def __init__(self) -> None:
            self.began = time.monotonic()
            self.ended: list[float] = []

        def on_train_batch_end(self, step: int, logs: dict[str, Any]) -> None:
            self.ended.append(time.monotonic() - self.began)
            if step >= COMPILED + CYCLE and self.ended[-1] > least:
                raise _EnoughError

    return Clock()


def _generate(emulator: Any, wavelength: NDArray[np.float64] | None) -> Callable[[Array], Array]:
    """Flux by the package's compiled function."""
    apply = emulator.make_frozen_apply(jit=True)
    at_once = 1024 if wavelength is None else 64

    def part(labels: Array) -> Array:
        inputs: dict[str, Any] = {"parameters": labels}
        if wavelength is not None:
            inputs["wavelengths"] = np.broadcast_to(wavelength, (len(labels), len(wavelength)))
        return np.asarray(apply(inputs)["flux"], dtype=np.float32).reshape(len(labels), -1)

    return lambda labels: np.concatenate(
        [part(labels[start : start + at_once]) for start in range(0, len(labels), at_once)]
    )
