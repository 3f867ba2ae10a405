"""The common properties of loaded models: version and digest, contract, wavelengths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.networks.onnx.runtime import OnnxNetwork
from stellar_emulator.saved.bundle import Bundle

if TYPE_CHECKING:
    # Astropy takes a second to import, and is not needed to use a model.
    from astropy.units import Quantity


KEPT = 4
"""Number of received models that a process keeps, so that the tasks of a pool need not load them again."""


@dataclass(frozen=True, eq=False, repr=False)
class LoadedModel:
    """A model's folder that was read, and its network, ready to run.

    It can be hashed, compared (the digest decides), copied, and pickled. Only the folder and the digest are pickled, so
    the receiving process must see the same folder; `InputError` is raised there if it does not.
    """

    bundle: Bundle
    network: OnnxNetwork

    @classmethod
    def load(cls, where: str | Path | None = None) -> Self:
        """Load a model. Each kind documents its argument."""
        raise NotImplementedError

    def __repr__(self) -> str:
        axis = self.contract.wavelength
        return (
            f"<{type(self).__name__} {self.version} of contract {self.contract.name}: {axis.count:,} pixels from "
            f"{axis.start:g} to {axis.stop:g} {axis.unit}, {axis.medium}>"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoadedModel) and (type(self), self.digest) == (type(other), other.digest)

    def __hash__(self) -> int:
        return hash((type(self), self.digest))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """The model itself: nothing about it can change."""
        return self

    def __reduce__(self) -> tuple[Callable[..., "LoadedModel"], tuple[object, ...]]:
        return _received, (type(self), self.bundle.folder.resolve(), self.digest)

    @property
    def contract(self) -> Contract:
        """The data contract with labels, units, bounds, wavelength axis and flux range."""
        return self.bundle.contract

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Preset, seed, digest of the grid, runs that the model has seen, MLflow's run, as recorded by training."""
        return self.bundle.metadata

    @property
    def digest(self) -> str:
        """SHA-256 that names this very model."""
        return self.bundle.digest

    @property
    def version(self) -> str:
        """Registered name and first digits of the digest, which identify the model in short."""
        return f"{getattr(self.contract.models, self.bundle.kind)} {self.digest[:12]}"

    @property
    def wavelength(self) -> "Quantity":
        """Centres of the pixels, shape (pixels,), in the medium ``medium``; the caller may change the array."""
        from astropy.units import Quantity

        return Quantity(self.contract.wavelength.pixels, self.contract.wavelength.unit)

    @property
    def medium(self) -> str:
        """``air`` or ``vacuum``."""
        return self.contract.wavelength.medium


@lru_cache(maxsize=KEPT)
def _received(kind: type[LoadedModel], folder: Path, digest: str) -> LoadedModel:
    """The model that another process named by its folder and digest."""
    model = kind.load(folder)
    if model.digest != digest:
        raise InputError(f"{folder} holds model {model.digest[:12]} now, and {digest[:12]} was sent: load it again")
    return model
