"""The journal of a synthesis: one small file a run, written atomically, so that a killed synthesis goes on."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.grid.intrinsic import IntrinsicSpectrum


@dataclass(frozen=True)
class Journal:
    """A folder of finished (``.npz``) and failed (``.json``) runs, named by run number."""

    folder: Path

    def finished(self) -> set[int]:
        return {int(path.stem) for path in self.folder.glob("*.npz")}

    def failed(self) -> dict[int, dict[str, object]]:
        """Labels and reason of each failed run, by run number."""
        return {int(path.stem): json.loads(path.read_text()) for path in self.folder.glob("*.json")}

    def record(self, number: int, labels: NDArray[np.float64], spectrum: IntrinsicSpectrum) -> None:
        partial = self.folder / f"{number:07d}.{os.getpid()}.partial"
        with partial.open("wb") as stream:
            np.savez(
                stream,
                labels=labels,
                flux=spectrum.flux.astype(np.float32),
                continuum=spectrum.continuum,
                scalars=np.array([spectrum.limb_darkening, spectrum.atmosphere_distance]),
            )
        partial.rename(self.folder / f"{number:07d}.npz")

    def record_failure(self, number: int, labels: NDArray[np.float64], reason: str) -> None:
        partial = self.folder / f"{number:07d}.{os.getpid()}.partial"
        partial.write_text(json.dumps({"labels": labels.tolist(), "reason": reason}))
        partial.rename(self.folder / f"{number:07d}.json")

    def read(self, number: int) -> tuple[NDArray[np.float64], IntrinsicSpectrum]:
        with np.load(self.folder / f"{number:07d}.npz") as entry:
            limb_darkening, distance = entry["scalars"]
            spectrum = IntrinsicSpectrum(
                entry["flux"].astype(float), entry["continuum"], float(limb_darkening), float(distance)
            )
            return entry["labels"], spectrum
