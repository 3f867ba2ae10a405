"""What every loaded model tells of itself: which one it is, what it obeys, on which wavelengths it works."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stellar_emulator.contract.contract import Contract
from stellar_emulator.networks.onnx.runtime import OnnxNetwork
from stellar_emulator.saved.bundle import Bundle

if TYPE_CHECKING:
    # Astropy takes a second to import, and using a model does without.
    from astropy.units import Quantity


@dataclass(frozen=True)
class LoadedModel:
    """A model's folder that was read, and its network, ready to run."""

    bundle: Bundle
    network: OnnxNetwork

    @property
    def contract(self) -> Contract:
        """The data contract with labels, units, bounds, wavelength axis and flux range."""
        return self.bundle.contract

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Preset, seed, digest of the grid, runs that the model has seen, MLflow's run, as training noted them."""
        return self.bundle.metadata

    @property
    def digest(self) -> str:
        """SHA-256 that names this very model."""
        return self.bundle.digest

    @property
    def version(self) -> str:
        """Registered name and first digits of the digest, to tell in short what model this is."""
        return f"{getattr(self.contract.models, self.bundle.kind)} {self.digest[:12]}"

    @property
    def wavelength(self) -> "Quantity":
        """Centres of the pixels, shape (pixels,), in the medium that ``medium`` tells; the caller's own to change."""
        from astropy.units import Quantity

        return Quantity(self.contract.wavelength.pixels, self.contract.wavelength.unit)

    @property
    def medium(self) -> str:
        """``air`` or ``vacuum``."""
        return self.contract.wavelength.medium
