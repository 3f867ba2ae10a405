"""Trained models on disk, one folder each.

A folder holds ``contract.yaml``, ``model.onnx``, ``fingerprint.npz`` (some inputs with their outputs), ``measured.npz``
(errors on the test set, see `evaluation.measured`; absent if nothing was measured) and ``model.json``: kind, layers,
inputs of the first layer, position of each weight in ``model.onnx``, metadata, package version, SHA-256 of the other
files and of itself. Nothing is pickled, and no weight is stored twice. Reading a folder needs only NumPy; running its
model also needs ONNX Runtime.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.contract.hull import within_hull
from stellar_emulator.errors import InputError
from stellar_emulator.networks.coordinates import Coordinate
from stellar_emulator.networks.dense import DenseChain, DenseLayer
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork, ValidatorNetwork, exact_emulator
from stellar_emulator.networks.onnx.export import emulator_onnx, validator_onnx
from stellar_emulator.networks.radial import RadialFunctions
from stellar_emulator.saved.own_files import SIGNATURE
from stellar_emulator.saved.sealing import registered_around, require_sealed
from stellar_emulator.saved.signing import require_signed, sign
from stellar_emulator.system.files import new_folder, recovered
from stellar_emulator.version import VERSION

if TYPE_CHECKING:
    import onnx

Arrays = Mapping[str, NDArray[Any]]

DESCRIPTION = "model.json"
CONTRACT = "contract.yaml"
GRAPH = "model.onnx"
FINGERPRINT = "fingerprint.npz"
MEASURED = "measured.npz"

FORMAT = 4
"""Number of the format; it is raised when older versions can't read new folders."""

OLDEST_FORMAT = 2
"""Oldest format that is read: its folders have no coordinates, and its networks take their inputs directly. Those
before format 4 have no radial functions."""

FINGERPRINT_ROWS = 3


@dataclass(frozen=True)
class Bundle:
    """A model's folder that was read and is unchanged since it was saved; ``digest`` identifies this model."""

    folder: Path
    description: Mapping[str, Any] = field(repr=False, compare=False)
    contract: Contract = field(repr=False, compare=False)
    digest: str

    @property
    def kind(self) -> str:
        return str(self.description["kind"])

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.description["metadata"]  # type: ignore[no-any-return]

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH

    @property
    def fingerprint(self) -> Arrays:
        """``inputs`` (n, inputs) and the ``outputs`` (n, outputs) that the trained layers gave for them.

        A validator also has ``rounding``, the change of each output that rounding may cause.
        """
        return _arrays(self.folder / FINGERPRINT)

    @property
    def measured(self) -> Arrays:
        """Errors of this model on its test set.

        Raises
        ------
        InputError
            If nothing was measured, as for the judges of the gate.
        """
        if MEASURED not in self.description["files"]:
            raise InputError(f"{self.folder} holds no measured errors of its model: take one that `train` registered")
        return _arrays(self.folder / MEASURED)

    def weight(self, part: str, number: int, name: str) -> NDArray[np.float32]:
        """The ``kernel`` (inputs, outputs) or ``bias`` (outputs,) of one layer of one part of the network."""
        layer = self.description["network"][part][number]
        shape = (layer["inputs"], layer["outputs"]) if name == "kernel" else (layer["outputs"],)
        return self._numbers(f"{part}/{number}/{name}", shape)

    def radial(self, part: str) -> RadialFunctions | None:
        """The radial functions of one part of the network, if it has any."""
        stated = self.description.get("radial", {}).get(part)
        if stated is None:
            return None
        width = stated["coordinates"]
        shapes = {"scale": (width,), "shift": (width,), "centres": (stated["centres"], width)}
        return RadialFunctions(**{name: self._numbers(f"{part}/radial/{name}", shapes[name]) for name in shapes})

    def _numbers(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        place = self.description["weights"][name]
        values = np.fromfile(self.graph, "<f4", int(np.prod(shape)), offset=place)
        return values.astype(np.float32, copy=False).reshape(shape)


def save_emulator(
    folder: str | Path,
    network: EmulatorNetwork | ExactEmulatorNetwork,
    contract: Contract,
    metadata: Mapping[str, Any],
    measured: Arrays | None = None,
) -> None:
    """Write an emulator's folder, complete or not at all; an existing folder of a model is replaced.

    metadata: anything that JSON can hold; measured: the result of `evaluation.measured.emulator_measures`.

    Raises
    ------
    InputError
        If the network does not fit the contract, or the folder holds something else.
    """
    if isinstance(network, EmulatorNetwork):
        family, wanted = "learned", [len(contract.labels), contract.wavelength.count]
    else:
        family, wanted = "exact", [len(contract.run_labels), 2 * len(network.broadening.frequencies) + 1]
    _check_widths(contract, [network.chain.inputs, network.chain.outputs], wanted)
    shares = np.linspace(0.1, 0.9, FINGERPRINT_ROWS)[:, np.newaxis]
    inputs = within_hull(contract, contract.lower + shares * (contract.upper - contract.lower))
    arrays = _beside({"inputs": inputs, "outputs": network(inputs)}, measured)
    metadata = {**metadata, "family": family}
    _save(Path(folder), "emulator", {"chain": network.chain}, emulator_onnx(network), contract, metadata, arrays)


def save_validator(
    folder: str | Path,
    network: ValidatorNetwork,
    contract: Contract,
    metadata: Mapping[str, Any],
    measured: Arrays | None = None,
) -> None:
    """Write a validator's folder, like `save_emulator`, with `evaluation.measured.validator_measures`."""
    widths = [network.projection.inputs, sum(head.outputs for head in network.heads)]
    _check_widths(contract, widths, [contract.wavelength.count, len(contract.labels)])
    parts = {"projection": network.projection} | {f"head{number}": head for number, head in enumerate(network.heads)}
    inputs = _known_spectra(network.projection)
    kept: Arrays = {"inputs": inputs, "outputs": network(inputs), "rounding": network.rounding(inputs)}
    arrays = _beside(kept, measured)
    _save(Path(folder), "validator", parts, validator_onnx(network), contract, metadata, arrays)


def read_bundle(folder: str | Path, kind: str | None = None) -> Bundle:
    """Read a model's folder.

    Raises
    ------
    InputError
        If it is no such folder, of another kind, or one of its files is missing or was changed; the message names it.
        Likewise if it is not signed and a public key is named, see `saved.signing`; and if it is part of a registered
        model any file of which is not as it was registered.
    """
    folder = recovered(Path(folder))
    if around := registered_around(folder):
        require_sealed(around)
    try:
        description = json.loads((folder / DESCRIPTION).read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no model's folder: {DESCRIPTION} is missing") from error
    except ValueError as error:
        raise InputError(f"{folder / DESCRIPTION} is damaged: copy or download the model again") from error
    if not isinstance(description, dict) or description.pop("digest", None) != (digest := _digest(description)):
        raise InputError(f"{folder / DESCRIPTION} was changed after it was saved: copy or download the model again")
    if not OLDEST_FORMAT <= description["format"] <= FORMAT:
        remedy = "upgrade it" if description["format"] > FORMAT else "train the model again, or use that version"
        raise InputError(
            f"{folder} has format {description['format']}, written by stellar-emulator "
            f"{description['package']['version']}; version {VERSION} reads formats {OLDEST_FORMAT} to {FORMAT}: "
            f"{remedy}"
        )
    _require_own_files(folder, description["files"])
    require_signed(folder)
    if kind not in (None, description["kind"]):
        raise InputError(f"{folder} holds a model of kind {description['kind']}, not {kind}")
    for name, expected in description["files"].items():
        _check_file(folder / name, expected)
    _require_own_data(folder / GRAPH)
    contract = parse_contract((folder / CONTRACT).read_bytes().decode(), str(folder / CONTRACT))
    return Bundle(folder, description, contract, digest)


def read_network(bundle: Bundle | str | Path) -> EmulatorNetwork | ExactEmulatorNetwork | ValidatorNetwork:
    """Rebuild the dense layers of a model's folder, of either kind. Raises like `read_bundle`."""
    bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    chains = _chains(bundle)
    if bundle.kind == "emulator":
        exact = bundle.metadata["family"] == "exact"
        return exact_emulator(chains["chain"], bundle.contract) if exact else EmulatorNetwork(chains["chain"])
    return ValidatorNetwork(chains.pop("projection"), tuple(chains.values()))


def _chains(bundle: Bundle) -> dict[str, DenseChain]:
    return {
        part: DenseChain(
            tuple(
                DenseLayer(
                    bundle.weight(part, number, "kernel"), bundle.weight(part, number, "bias"), layer["activation"]
                )
                for number, layer in enumerate(layers)
            ),
            tuple(Coordinate(**coordinate) for coordinate in bundle.description.get("coordinates", {}).get(part, [])),
            bundle.radial(part),
        )
        for part, layers in bundle.description["network"].items()
    }


def _known_spectra(projection: DenseChain) -> NDArray[np.float64]:
    """Spectra whose principal components, standardised, lie between -1 and 1, shape (rows, pixels).

    The heads were not trained on other spectra, and would amplify their rounding.
    """
    (layer,) = projection.layers
    kernel, bias = layer.kernel.astype(np.float64), layer.bias.astype(np.float64)
    wanted = np.cos(np.outer(np.arange(1, FINGERPRINT_ROWS + 1), np.arange(1, len(bias) + 1)))
    return np.asarray(np.linalg.lstsq(kernel.T, (wanted - bias).T, rcond=None)[0].T)


def _beside(fingerprint: Arrays, measured: Arrays | None) -> dict[str, Arrays]:
    """Files of arrays beside the graph."""
    return {FINGERPRINT: fingerprint} | ({MEASURED: measured} if measured else {})


def _save(
    folder: Path,
    kind: str,
    parts: Mapping[str, DenseChain],
    graph: "onnx.ModelProto",
    contract: Contract,
    metadata: Mapping[str, Any],
    arrays: Mapping[str, Arrays],
) -> None:
    files = {CONTRACT: contract.source.encode(), GRAPH: graph.SerializeToString()}
    files |= {name: _npz(content) for name, content in arrays.items()}
    description: dict[str, Any] = {
        "format": FORMAT,
        "kind": kind,
        "package": {"name": "stellar-emulator", "version": VERSION},
        "network": {part: _layers(chain) for part, chain in parts.items()},
        "coordinates": {part: [asdict(one) for one in chain.coordinates] for part, chain in parts.items()},
        "radial": {part: _widths(chain.radial) for part, chain in parts.items() if chain.radial is not None},
        "weights": _places(files[GRAPH], parts),
        "metadata": dict(metadata),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    # Converted as it will be read back: JSON turns tuples into lists and keys into text, which must not change the
    # digest.
    description = json.loads(json.dumps(description, allow_nan=False))
    description["digest"] = _digest(description)
    files[DESCRIPTION] = (json.dumps(description, indent=1) + "\n").encode()
    _write(folder, files)


def _places(graph: bytes, parts: Mapping[str, DenseChain]) -> dict[str, int]:
    """First byte of each weight in the graph's file, which holds weights in little-endian single precision."""
    weights = {
        f"{part}/{i}/{name}": value
        for part, chain in parts.items()
        for i, layer in enumerate(chain.layers)
        for name, value in (("kernel", layer.kernel), ("bias", layer.bias))
    } | {
        f"{part}/radial/{name}": value
        for part, chain in parts.items()
        if chain.radial is not None
        for name, value in vars(chain.radial).items()
    }
    return {name: graph.index(np.ascontiguousarray(value, dtype="<f4").tobytes()) for name, value in weights.items()}


def _npz(arrays: Arrays) -> bytes:
    """Arrays as an NPZ file in single precision, whose bytes depend only on the arrays."""
    stream = io.BytesIO()
    single: dict[str, Any] = {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()}
    np.savez_compressed(stream, **single)
    return stream.getvalue()


def _arrays(path: Path) -> Arrays:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    if recovered(folder).exists() and not (folder / DESCRIPTION).is_file():
        raise InputError(f"{folder} exists and holds no model: choose another folder")
    with new_folder(folder) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)
        sign(partial)


def _require_own_files(folder: Path, stated: Mapping[str, str]) -> None:
    """Refuse a folder that holds or states anything but the files of a model, so that nothing unhashed is ever read."""
    needed = {CONTRACT, GRAPH, FINGERPRINT}
    allowed = {*needed, MEASURED}
    if left_out := sorted(needed - set(stated)):
        raise InputError(f"{folder / DESCRIPTION} states nothing of {left_out[0]}, which each model has: do not use it")
    if wrong := sorted(set(stated) - allowed):
        raise InputError(f"{folder / DESCRIPTION} states files that no model has ({wrong[0][:80]!r}): do not use it")
    found = {path.name for path in folder.iterdir() if path.is_file() and not path.is_symlink()}
    extra = sorted({path.name for path in folder.iterdir()} - (found & {*stated, DESCRIPTION, SIGNATURE}))
    if extra:
        raise InputError(
            f"{folder / extra[0]} is no file of this model, which neither its digest nor a signature covers: remove it"
        )


def _check_file(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: copy or download the model again") from error
    if found != expected:
        raise InputError(
            f"{path} was changed after it was saved: its SHA-256 is {found[:12]}..., {DESCRIPTION} states "
            f"{expected[:12]}...: copy or download the model again"
        )


def _require_own_data(graph: Path) -> None:
    """Refuse a graph that takes weights from another file, which ONNX names under the key ``location``."""
    if b"location" in graph.read_bytes():
        raise InputError(f"{graph} takes data from another file, which no digest covers: do not use it")


def _digest(description: Mapping[str, Any]) -> str:
    """SHA-256 of everything that a description states, including the digests of the other files."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _layers(chain: DenseChain) -> list[dict[str, Any]]:
    return [
        {"inputs": layer.kernel.shape[0], "outputs": layer.kernel.shape[1], "activation": layer.activation}
        for layer in chain.layers
    ]


def _widths(radial: RadialFunctions) -> dict[str, int]:
    return {"centres": radial.centres.shape[0], "coordinates": radial.centres.shape[1]}


def _check_widths(contract: Contract, found: list[int], wanted: list[int]) -> None:
    if found != wanted:
        raise InputError(
            f"the network takes {found[0]} values to {found[1]}, "
            f"contract {contract.name} wants {wanted[0]} to {wanted[1]}"
        )
