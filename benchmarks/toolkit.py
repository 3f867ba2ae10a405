"""The peers' package astro-emulators-toolkit, trained by its own presets for some seconds."""

import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

PACKAGE = "astro_emulators_toolkit"
INSTALL = "uv pip install --group peers"

TRIAL_STEPS = (10, 30)
"""Steps after which a trial's clock starts and ends: the optimizer does more in one step of ten, the first compile."""

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


def train(preset: str, labels: Array, flux: Array, wavelength: NDArray[np.float64], seconds: float) -> Learned:
    """Train ``payne_flux_mlp`` or ``transformer_payne_flux`` on labels in [0, 1] (n, labels) and flux (n, pixels).

    Settings are the preset's profile ``cpu_recommended``. Steps are as many as fit in the time, by a short trial whose
    own time isn't counted; learning rates rise over as large a share of them as in the preset, then fall to zero. The
    package keeps the last weights: it doesn't stop early.
    """
    import jax
    from astro_emulators_toolkit import Emulator, presets
    from astro_emulators_toolkit.data import TreeArrayDataset

    jax.config.update("jax_enable_x64", True)  # the package wants wavelengths in double precision
    transforms = preset.startswith("transformer")
    examples = TreeArrayDataset(x={"parameters": labels}, y={"flux": flux})

    def fit(steps: int, callbacks: list[Any]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            config = _for_steps(getattr(presets, preset)(workdir=folder), steps)
            emulator = Emulator.from_config(config)
            sampled = _sampled(emulator, wavelength) if transforms else None
            emulator.fit(examples, callbacks=callbacks, device_batch_transform=sampled)
        return emulator

    clock = _clock()
    fit(TRIAL_STEPS[1], [clock])
    steps = clock.steps_in(seconds)
    began = time.monotonic()
    emulator = fit(steps, [])
    spent = time.monotonic() - began
    return Learned(_generate(emulator, wavelength if transforms else None), steps, spent)


def _for_steps(config: Any, steps: int) -> Any:
    """A preset for another number of steps, told every one of them."""
    warmup = steps * config.optim.warmup_steps // config.training.num_steps
    return dataclasses.replace(
        config,
        optim=dataclasses.replace(config.optim, warmup_steps=max(1, warmup)),
        training=dataclasses.replace(config.training, num_steps=steps, logging_interval_steps=1),
    )


def _sampled(emulator: Any, wavelength: NDArray[np.float64]) -> Any:
    """What draws the wavelengths of a step."""
    return emulator.make_device_batch_transform(
        wavelength_grid=wavelength,
        n_wavelength=WAVELENGTHS,
        eval_wavelength_grid=np.linspace(wavelength[0], wavelength[-1], WAVELENGTHS),
    )


def _clock() -> Any:
    from astro_emulators_toolkit.training.callbacks import Callback

    class Clock(Callback):  # type: ignore[misc]
        """When each step of a trial ended; the package tells of a step once the next one has begun."""

        def __init__(self) -> None:
            self.began = time.monotonic()
            self.ended: dict[int, float] = {}

        def on_train_batch_end(self, step: int, logs: dict[str, Any]) -> None:
            self.ended[step] = time.monotonic() - self.began

        def steps_in(self, seconds: float) -> int:
            """Steps that fit into so many seconds, compiling included."""
            first, last = TRIAL_STEPS
            pace = (self.ended[last] - self.ended[first]) / (last - first)
            return max(10, int((seconds - self.ended[first]) / pace) + first)

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
