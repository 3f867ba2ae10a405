"""Model atmospheres: two small networks trained on C3K (ATLAS12) structures, with the repairs they need.

Nidever's ``atmosnet`` maps (Teff, logg, [M/H], [alpha/M]) to the base-10 logarithms of column mass, temperature,
gas pressure and electron density at 80 depths; one network for 2500-8000 K, one for 8000-50000 K.
"""

import importlib
import io
import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.grid.engines.synspec import parts

BOLTZMANN = 1.380649e-16
"""Boltzmann constant in erg/K."""

COOL_UNTIL, HOT_FROM = 7750.0, 8250.0
"""Teff (K) over which the cool and the hot network are blended, log-linearly."""

LAYERS_KEPT = 75
"""Number of layers kept, of 80: the deepest five show temperature jumps."""

ELECTRON_PRESSURE_LIMIT = 0.52
"""Largest share of the gas pressure that electrons may carry; fully ionised H and He give 0.52."""


@dataclass(frozen=True)
class Atmosphere:
    """A plane-parallel structure, outermost layer first; every array has shape (layers,).

    column_mass in g/cm^2, temperature in K, gas_pressure in dyn/cm^2, electron_density in 1/cm^3.
    """

    column_mass: NDArray[np.float64]
    temperature: NDArray[np.float64]
    gas_pressure: NDArray[np.float64]
    electron_density: NDArray[np.float64]


@dataclass(frozen=True)
class _Network:
    """Four (one for each column) three-layer perceptrons with leaky ReLU, and the labels they were trained on."""

    columns: tuple[dict[str, NDArray[np.float64]], ...]
    training_labels: NDArray[np.float64]

    def __call__(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([self._column(column, labels) for column in self.columns])

    @staticmethod
    def _column(column: dict[str, NDArray[np.float64]], labels: NDArray[np.float64]) -> NDArray[np.float64]:
        hidden = (labels - column["x_min"]) / (column["x_max"] - column["x_min"]) - 0.5
        for layer in (0, 1):
            hidden = column[f"w_array_{layer}"] @ hidden + column[f"b_array_{layer}"]
            hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
        return column["w_array_2"] @ hidden + column["b_array_2"]


class _NumpyUnpickler(pickle.Unpickler):
    """Admits NumPy arrays and the one indirection that dill wrote into these files; nothing else can run."""

    def find_class(self, module: str, name: str) -> object:
        if module == "dill._dill" and name == "_import_module":
            return _import_numpy
        if module == "dill._dill" and name == "_get_attr":
            return _numpy_attribute
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no business in a file of network weights")


def _import_numpy(name: str) -> object:
    if name != "numpy.core._multiarray_umath":
        raise pickle.UnpicklingError(f"module {name} has no business in a file of network weights")
    return importlib.import_module("numpy._core._multiarray_umath")


def _numpy_attribute(module: object, name: str) -> object:
    if name not in {"_reconstruct", "scalar"}:
        raise pickle.UnpicklingError(f"attribute {name} has no business in a file of network weights")
    return getattr(module, name)


def _load(path: Path) -> _Network:
    columns = _NumpyUnpickler(io.BytesIO(path.read_bytes())).load()[:4]
    weights = [f"{kind}_array_{layer}" for kind in "wb" for layer in range(3)] + ["x_min", "x_max"]
    return _Network(
        columns=tuple({name: np.asarray(column[name], dtype=np.float64) for name in weights} for column in columns),
        training_labels=np.asarray(columns[0]["training_labels"], dtype=np.float64),
    )


@lru_cache(maxsize=1)
def _networks() -> tuple[_Network, _Network]:
    data = parts.fetch(parts.ATMOSPHERES) / "atmosnet" / "data"
    return _load(data / "atmosnet_c3k_300neurons_cool.pkl"), _load(data / "atmosnet_c3k_300neurons_hot.pkl")


def atmosphere(teff: float, logg: float, m_h: float, alpha_m: float = 0.0) -> Atmosphere:
    """Structure at the given labels (K, dex in cgs, dex, dex), microturbulence 2 km/s.

    Raises
    ------
    SetupError
        If the part that holds the networks can't be fetched.
    """
    cool, hot = _networks()
    labels = np.array([teff, logg, m_h, alpha_m])
    share_hot = float(np.clip((teff - COOL_UNTIL) / (HOT_FROM - COOL_UNTIL), 0.0, 1.0))
    log_columns = np.zeros((4, cool.columns[0]["b_array_2"].size))
    if share_hot < 1.0:
        log_columns = log_columns + (1.0 - share_hot) * cool(labels)
    if share_hot > 0.0:
        log_columns = log_columns + share_hot * hot(labels)
    return _repaired(*(10.0**log_columns)[:, :LAYERS_KEPT])


def _repaired(
    column_mass: NDArray[np.float64],
    temperature: NDArray[np.float64],
    gas_pressure: NDArray[np.float64],
    electron_density: NDArray[np.float64],
) -> Atmosphere:
    limit = ELECTRON_PRESSURE_LIMIT * gas_pressure / (BOLTZMANN * temperature)
    electron_density = np.minimum(electron_density, limit)
    growing = column_mass > np.concatenate([[0.0], np.maximum.accumulate(column_mass)[:-1]])
    return Atmosphere(column_mass[growing], temperature[growing], gas_pressure[growing], electron_density[growing])


def distance_to_training_set(teff: float, logg: float, m_h: float, alpha_m: float | None = None) -> float:
    """Distance to the nearest C3K model that the networks saw, in their nodes' spacings (250 K or 5 %, 0.5, 0.25, 0.2).

    A value above about 1 means that the structure is extrapolated (hot giants, metal-rich cool giants). Without
    ``alpha_m`` that label of the nodes is not looked at.
    """
    asked, spacing = [teff, logg, m_h], [max(250.0, 0.05 * teff), 0.5, 0.25]
    if alpha_m is not None:
        asked, spacing = [*asked, alpha_m], [*spacing, 0.2]
    nodes = np.concatenate([network.training_labels for network in _networks()])[:, : len(asked)]
    return float(np.sqrt((((nodes - asked) / spacing) ** 2).sum(axis=1).min()))
