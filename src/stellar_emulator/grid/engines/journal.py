"""The journal of a synthesis: one small file per run, written atomically, so that a killed synthesis can resume."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.intrinsic import OPTIONAL, IntrinsicSpectrum
from stellar_emulator.system.files import new_file, write_file


@dataclass(frozen=True)
class FailedRun:
    """Labels of a run that gave no usable spectrum, in the contract's order, and the reason."""

    labels: tuple[float, ...]
    reason: str


@dataclass(frozen=True)
class Journal:
    """A folder of finished (``.npz``) and failed (``.json``) runs, named by run number."""

    folder: Path

    def finished(self) -> set[int]:
        return {int(path.stem) for path in self.folder.glob("[0-9]*.npz")}

    def failed(self) -> dict[int, FailedRun]:
        """Each failed run, by run number."""
        return {int(path.stem): self._read_failure(path) for path in sorted(self.folder.glob("[0-9]*.json"))}

    def record(self, number: int, labels: NDArray[np.float64], spectrum: IntrinsicSpectrum) -> None:
        with new_file(self._path(number, "npz")) as partial, partial.open("wb") as stream:
            known = {name: getattr(spectrum, name) for name in OPTIONAL if getattr(spectrum, name) is not None}
            np.savez(stream, labels=labels, flux=spectrum.flux.astype(np.float32), **known)

    def record_failure(self, number: int, failure: FailedRun) -> None:
        content = json.dumps({"labels": failure.labels, "reason": failure.reason})
        write_file(self._path(number, "json"), content)

    def read(self, number: int) -> tuple[NDArray[np.float64], IntrinsicSpectrum]:
        """Labels and spectrum of a finished run. Raises `InputError` if its file is damaged."""
        path = self._path(number, "npz")
        try:
            # NumPy leaves a file open that is cut short.
            with path.open("rb") as stream, np.load(stream) as entry:
                known: dict[str, Any] = {name: entry[name] for name in OPTIONAL if name in entry}
                scalars = {name: float(value) for name, value in known.items() if value.ndim == 0}
                if "scalars" in entry:  # the form in which earlier versions wrote both
                    scalars = dict(
                        zip(("limb_darkening", "atmosphere_distance"), entry["scalars"].tolist(), strict=True)
                    )
                return entry["labels"], IntrinsicSpectrum(entry["flux"].astype(float), **(known | scalars))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is damaged: delete it and start again, its run will be computed anew") from error

    def remove(self, number: int) -> None:
        """Forget a run, finished or failed."""
        for suffix in ("npz", "json"):
            self._path(number, suffix).unlink(missing_ok=True)

    def remove_partials(self) -> None:
        """Remove the unfinished files of a killed synthesis; only the process that writes the journal may call it."""
        for path in [*self.folder.glob("*.partial"), *self.folder.glob(".*.partial.*")]:
            path.unlink()

    @staticmethod
    def _read_failure(path: Path) -> FailedRun:
        try:
            entry = json.loads(path.read_text())
            return FailedRun(tuple(entry["labels"]), entry["reason"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged: delete it and start again, its run will be computed anew") from error

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:07d}.{suffix}"
