"""By how much a model's spectra may be wrong: the emulator's error, and that of the physics which it learned.

The emulator's error was measured on test spectra. Computed spectra differ from real ones besides: in the strengths of
lines and in what the line list lacks. That is measured on stars whose labels are known (``benchmarks.model_error``) and
told by a few numbers, so that it follows every star's lines.
"""

from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import FWHM_PER_SIGMA, resolutions
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import RESOLUTION, ROTATION
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.protocols import EmulatorLike
from stellar_emulator.shipped.resources import physics_file
from stellar_emulator.system.plain_yaml import parse_yaml, read_text

NONE, EMULATOR, STARS = "none", "emulator", "stars"
KINDS = (NONE, EMULATOR, STARS)

MOST = 1e3
"""Largest number of a physics error; more is a slip of the pen."""

CALCIUM = "ca ii"
"""How names of its lines begin, in small letters."""

CORE, LEAST_STEP = 0.35, 1e-3
"""Standard deviation in Angstrom of a core as it would be seen by a sharp instrument; smallest pixels."""

EMULATOR_LENGTH = 4.0
"""Standard deviation in Angstrom of the Gaussian by which the correlation of the emulator's error falls off. It was
measured on test spectra after a cubic continuum was divided out: the errors of about 100 pixels of 0.1 A are
correlated, so they move labels by far more than noise of the same size."""


@dataclass(frozen=True)
class PhysicsError:
    """Standard deviation of real minus computed flux, in units of the continuum, as the root of two squared parts.

    flat: everywhere; lines: times the depth of the computed spectrum; length: standard deviation in Angstrom of the
    Gaussian by which its correlation falls off; labels: factor by which it moves labels farther than a random error
    would that is as large and as correlated, since what physics lacks resembles what labels do; cores: besides,
    standard deviation of the equivalent width of each core of the Ca II triplet in Angstrom, since cores form high up,
    where neither LTE nor the structures hold.
    """

    flat: float
    lines: float
    length: float
    labels: float
    cores: float = 0.0

    def __post_init__(self) -> None:
        for name in PhysicsError.__dataclass_fields__:
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 <= value < MOST:
                raise InputError(f"physics error: {name} = {value!r} is no number from 0 to {MOST:g}")
        if self.length <= 0:
            raise InputError("physics error: length = 0: give the Angstrom over which it is correlated")

    def in_cores(
        self,
        contract: Contract,
        resolution: NDArray[np.float64],
        rotation: NDArray[np.float64],
        at: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Standard deviation of flux due to the cores of Ca II, (n, pixels), at resolutions and v sin i in km/s, (n,)
        each, and ascending wavelengths at rest, (n, pixels).

        All of a core is off in the same way. Pixels that are taken as independent, and are to tell of a core no more
        than ``cores``, must be off by more than it is.
        """
        step = np.median(np.diff(at, axis=1), axis=1)[:, None]
        squares = np.zeros(at.shape)
        for centre in calcium_cores(contract):
            blurred = np.hypot(centre / resolution / FWHM_PER_SIGMA, centre * rotation / SPEED_OF_LIGHT / 2.0)
            width = np.hypot(CORE, blurred)[:, None]
            profile = np.exp(-0.5 * ((at - centre) / width) ** 2) / (width * np.sqrt(2.0 * np.pi))
            squares += self.cores**2 * profile / np.maximum(step, LEAST_STEP)
        return np.sqrt(squares)

    def deviation(self, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation of flux at computed depths, 1 - flux, of any shape."""
        return np.asarray(np.hypot(self.flat, self.lines * np.maximum(depth, 0.0)))


@dataclass(frozen=True)
class Part:
    """One part of a model's error: standard deviation, (n, pixels), the length of its correlation in Angstrom, 0 for
    independent pixels, and the factor by which it moves labels farther than a random error would."""

    deviation: NDArray[np.float64]
    length: float
    factor: float = 1.0


@dataclass(frozen=True)
class ModelError:
    """What enters chi-square and intervals besides the flux errors; emulator: whether the emulator's own error does."""

    emulator: bool = True
    physics: PhysicsError | None = None


EMULATOR_ALONE = ModelError()


def parts_of(
    error: ModelError,
    emulator: EmulatorLike,
    labels: NDArray[np.float64],
    at: NDArray[np.float64],
    generated: NDArray[np.floating],
) -> list[Part]:
    """The parts of a model's error at labels (n, labels), wavelengths at rest ``at`` and fluxes there, (n, pixels)."""
    found = []
    if error.emulator:
        nodes = emulator.contract.wavelength.pixels
        # Linear between pixels: never beyond those of its neighbours.
        own = [np.interp(rest, nodes, one) for rest, one in zip(at, emulator.error(labels), strict=True)]
        found.append(Part(np.stack(own), EMULATOR_LENGTH))
    if error.physics is not None:
        physics, depth = error.physics, 1.0 - np.asarray(generated, dtype=np.float64)
        found.append(Part(physics.deviation(depth), physics.length, physics.labels))
        if physics.cores > 0.0:
            contract, place = emulator.contract, emulator.contract.column_of(ROTATION)
            rotation = np.zeros(len(labels)) if place is None else labels[:, place]
            found.append(Part(physics.in_cores(contract, _resolution(contract, labels), rotation, at), 0.0))
    return found


def calcium_cores(contract: Contract) -> list[float]:
    """Wavelengths of the Ca II lines that a contract names, in Angstrom."""
    return [at for name, at in contract.regions.line_cores.items() if name.lower().startswith(CALCIUM)]


def _resolution(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each spectrum, (n,); that of a line that is no wider than its core where a contract has none."""
    if contract.instrument is None and contract.of_role(RESOLUTION) is None:
        return np.full(len(labels), np.inf)
    return resolutions(contract, labels)


def model_error_of(contract: Contract, what: str) -> ModelError:
    """The error that is meant by one of `KINDS`, or by the name of a file of a `PhysicsError`'s numbers.

    ``stars`` is what was measured for a contract that comes with the package, or for the one whose spectra serve it,
    and ``emulator`` for any other.

    Raises
    ------
    InputError
        If there is no such file, or it holds something else.
    """
    if what == NONE:
        return ModelError(False)
    if what == EMULATOR:
        return ModelError()
    if what != STARS:
        return ModelError(True, read_physics(Path(what)))
    # Networks that serve another contract have the same lines.
    files = (physics_file(name) for name in (contract.name, contract.embedded) if name)
    path = next((one for one in files if one.is_file()), None)
    return ModelError() if path is None else ModelError(True, read_physics(path))


def read_physics(path: Path) -> PhysicsError:
    """The numbers of a physics error in a YAML file.

    Raises
    ------
    InputError
        If it can't be read, or holds something else.
    """
    if not path.is_file():
        raise InputError(f"--model_error {path} is none of {', '.join(KINDS)} and no file: check its name")
    given = parse_yaml(read_text(path, str(path)), str(path))
    names = {field.name for field in fields(PhysicsError)}
    optional = {field.name for field in fields(PhysicsError) if field.default is not MISSING}
    if not isinstance(given, dict) or set(given) | optional != names:
        needed = ", ".join(sorted(names - optional))
        raise InputError(f"{path} must hold the numbers {needed}, may hold {', '.join(optional)}, and nothing else")
    return PhysicsError(**given)
