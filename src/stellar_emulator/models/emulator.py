"""The emulator as people use it: labels in, spectra out, with their derivatives and errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stellar_emulator.contract.checks import check_labels
from stellar_emulator.contract.hull import check_hull
from stellar_emulator.contract.label_table import broadcast, named_columns
from stellar_emulator.evaluation.measured import at_labels
from stellar_emulator.models.as_specutils import as_spectra
from stellar_emulator.models.loaded import LoadedModel
from stellar_emulator.models.pair import find_model
from stellar_emulator.models.rough_emulator import RoughEmulator, rough_emulator
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork, ValidatorNetwork
from stellar_emulator.networks.onnx.jacobian import jacobian_onnx, linear_onnx
from stellar_emulator.networks.onnx.runtime import OnnxNetwork, open_network
from stellar_emulator.saved.bundle import read_bundle, read_network
from stellar_emulator.saved.fingerprint import require_same_answers
from stellar_emulator.shipped.resources import DEFAULT

if TYPE_CHECKING:
    # It takes seconds to import, and is not needed to generate spectra.
    from specutils import Spectrum

FLUX_TOLERANCE = 2e-5
"""Largest difference of flux from the output of the trained layers when the model was saved: rounding, tables."""


@dataclass(frozen=True, eq=False, repr=False)
class Emulator(LoadedModel):
    """Maps physical labels to normalised flux on ``contract.wavelength``: ``emulator(teff=5777, logg=4.44, ...)``."""

    @classmethod
    def load(cls, where: str | Path | None = None, contract: str | Path = DEFAULT) -> "Emulator":
        """Load an emulator.

        Parameters
        ----------
        where
            None for the one that comes with the package; a shipped name; a folder, of the model or of a pair; a
            registered name, ``champion`` or another alias, a version, ``latest``; or an address such as
            ``models:/NAME@champion``, ``models:/NAME/3`` or ``runs:/RUN/NAME``.
        contract
            Data contract to whose registered emulator an alias or version refers: a file or a shipped name.

        Raises
        ------
        InputError
            If there is no such emulator, or one of its files is missing or was changed; the message names the file.
        SetupError
            If this machine's ONNX Runtime computes other spectra than the model was saved with.
        """
        bundle = read_bundle(find_model(where, "emulator", contract), "emulator")
        network = open_network(bundle.graph, bundle.contract.wavelength.count)
        require_same_answers(bundle, network, FLUX_TOLERANCE)
        return cls(bundle, network)

    def __call__(self, table: Any = None, /, **labels: Any) -> NDArray[np.float32]:
        """Flux of labels given by name, in a table, or both.

        Parameters
        ----------
        table
            A pandas or astropy table or a mapping, with one column per label; or an array (n, labels) in the contract's
            order.
        labels
            Numbers, arrays or `astropy` quantities, broadcast against each other and the table's columns.

        Returns
        -------
        Array of the labels' common shape and, last, the pixels; (pixels,) if all labels are single numbers.

        Raises
        ------
        InputError
            If a label is missing, unknown, no number, not finite or out of bounds, or the contract refuses labels so
            far beyond the hull of its grid's nodes.
        """
        columns, shape = broadcast(self.contract, named_columns(self.contract, table, labels))
        return self.network(self.requested(columns)).reshape(*shape, -1)

    def requested(self, labels: ArrayLike, names: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Labels (n, labels) in the contract's order, checked as a user's request: also against the hull of the nodes.

        `flux` answers anywhere within the bounds, which fits need. Raises `InputError` as a call.
        """
        checked = self._checked(labels, names)
        check_hull(self.contract, checked)
        return checked

    def flux(self, labels: ArrayLike, names: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Flux (n, pixels) at labels (n, labels), whose columns are in the contract's order or in that of ``names``.

        Raises
        ------
        InputError
            If a label is missing, unknown, no number, not finite or out of bounds.
        """
        return self.network(self._checked(labels, names))

    def jacobian(self, labels: ArrayLike) -> NDArray[np.float32]:
        """Exact derivatives of the flux by every label in its own unit, (n, labels, pixels), at labels (n, labels).

        Raises `InputError` as `flux`.
        """
        return self._jacobian(self._checked(labels))

    def linear(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """Flux and its derivatives by every label in its own unit, (pixels, n, 1 + labels), at labels (n, labels).

        For fits: labels must lie within the bounds, which is not checked, and n be small, as all is made at once.
        """
        return self._linear.at_once(labels)

    def rough(self, pixels: int) -> RoughEmulator:
        """A rough emulator at every so many pixels; it is kept, as making it takes a second."""
        if pixels not in self._rough:
            self._rough[pixels] = rough_emulator(self._layers(), self.contract, pixels)
        return self._rough[pixels]

    def error(self, labels: ArrayLike) -> NDArray[np.float32]:
        """Measured error of the flux, (n, pixels), at labels (n, labels).

        The root mean square over the test spectra of the same region of the label box, linear between regions.

        Raises
        ------
        InputError
            As `flux`, or if the model was saved without measured errors.
        """
        checked = self._checked(labels)
        return at_labels(self.contract, self._measured["flux_rms"], checked)

    def spectra(self, table: Any = None, /, **labels: Any) -> list["Spectrum"]:
        """Spectra as `specutils` objects, one for each row, with their labels and the model's version in ``meta``.

        Arguments and errors are those of a call; `SetupError` if specutils is not installed.
        """
        columns, _ = broadcast(self.contract, named_columns(self.contract, table, labels))
        checked = self.requested(columns)
        return as_spectra(self, checked, self.network(checked))

    def _checked(self, labels: ArrayLike, names: Sequence[str] | None = None) -> NDArray[np.float64]:
        return check_labels(self.contract, self.contract.label_names if names is None else names, labels)

    def _layers(self) -> EmulatorNetwork | ExactEmulatorNetwork:
        """The network as plain layers, from which further graphs are made."""
        network = read_network(self.bundle)
        assert not isinstance(network, ValidatorNetwork)
        return network

    @cached_property
    def _jacobian(self) -> OnnxNetwork:
        graph = jacobian_onnx(self._layers()).SerializeToString()
        shape = len(self.contract.labels), self.contract.wavelength.count
        return open_network(graph, *shape)

    @cached_property
    def _linear(self) -> OnnxNetwork:
        return open_network(linear_onnx(self._layers()).SerializeToString())

    @cached_property
    def _rough(self) -> dict[int, RoughEmulator]:
        return {}

    @cached_property
    def _measured(self) -> Mapping[str, NDArray[Any]]:
        return self.bundle.measured
