"""Trained models on disk, one folder each, and the two classes that answer from them.

A folder holds ``contract.yaml``, ``model.onnx``, ``weights.safetensors`` and ``model.json`` (kind, layers, metadata,
package version, SHA-256 of the others and of itself). Nothing is pickled. Loading needs NumPy and ONNX Runtime alone.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from stellar_emulator.checks import check_flux, check_labels
from stellar_emulator.contract import Contract, parse_contract
from stellar_emulator.errors import InputError
from stellar_emulator.version import VERSION

if TYPE_CHECKING:
    # Imported where they are needed: they bring SciPy and onnx, which loading a model does without.
    import onnx

    from stellar_emulator.networks.dense import DenseChain
    from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork, ValidatorNetwork

DESCRIPTION = "model.json"
CONTRACT = "contract.yaml"
GRAPH = "model.onnx"
WEIGHTS = "weights.safetensors"

FORMAT = 1
"""Raised when folders written from then on can't be read by older versions."""

CHUNK_ROWS = 1024
"""Rows that pass through a network at once: more are no faster and only take memory."""


@dataclass(frozen=True)
class OnnxNetwork:
    """A network as ONNX Runtime runs it, without any check: float32 rows in, float32 rows out."""

    session: onnxruntime.InferenceSession
    outputs: int

    def __call__(self, inputs: NDArray[np.floating]) -> NDArray[np.float32]:
        inputs = np.asarray(inputs, dtype=np.float32)
        if len(inputs) <= CHUNK_ROWS:
            return self._run(inputs)
        outputs = np.empty((len(inputs), self.outputs), dtype=np.float32)
        for start in range(0, len(inputs), CHUNK_ROWS):
            outputs[start : start + CHUNK_ROWS] = self._run(inputs[start : start + CHUNK_ROWS])
        return outputs

    def _run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        (outputs,) = self.session.run(None, {self.session.get_inputs()[0].name: inputs})
        return outputs  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Emulator:
    """Physical labels to normalised flux on ``contract.wavelength``; ``digest`` names this very model."""

    contract: Contract
    metadata: Mapping[str, Any]
    digest: str
    network: OnnxNetwork

    def __call__(self, labels: ArrayLike, names: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Flux (n, pixels) of labels (n, labels), whose columns are in the contract's order or as ``names`` says.

        Raises
        ------
        InputError
            If a label is missing, unknown, not finite or out of bounds.
        """
        return self.network(check_labels(self.contract, self.contract.label_names if names is None else names, labels))


@dataclass(frozen=True)
class Validator:
    """Normalised flux on ``contract.wavelength`` to physical labels; ``digest`` names this very model."""

    contract: Contract
    metadata: Mapping[str, Any]
    digest: str
    network: OnnxNetwork

    def __call__(self, flux: ArrayLike, noise: float = 0.0) -> NDArray[np.float32]:
        """Labels (n, labels) in the contract's order of flux (n, pixels) with a given noise (standard deviation).

        Raises
        ------
        InputError
            If the flux is on another axis, not finite, or further out of range than its noise allows.
        """
        return self.network(check_flux(self.contract, flux, noise))


def save_emulator(
    folder: str | Path,
    network: "EmulatorNetwork | ExactEmulatorNetwork",
    contract: Contract,
    metadata: Mapping[str, Any],
) -> None:
    """Write an emulator's folder at once or not at all; a model's folder already there is replaced.

    metadata: anything JSON can hold.

    Raises
    ------
    InputError
        If the network does not fit the contract, or the folder holds something else.
    """
    from stellar_emulator.networks.inference import EmulatorNetwork
    from stellar_emulator.networks.onnx_export import emulator_onnx

    if isinstance(network, EmulatorNetwork):
        family, wanted = "learned", [len(contract.labels), contract.wavelength.count]
    else:
        family, wanted = "exact", [len(contract.run_labels), 2 * len(network.broadening.frequencies) + 1]
    _check_widths(contract, [_inputs(network.chain), _outputs(network.chain)], wanted)
    metadata = {**metadata, "family": family}
    _save(Path(folder), "emulator", {"chain": network.chain}, emulator_onnx(network), contract, metadata)


def save_validator(
    folder: str | Path, network: "ValidatorNetwork", contract: Contract, metadata: Mapping[str, Any]
) -> None:
    """Write a validator's folder. As `save_emulator`."""
    from stellar_emulator.networks.onnx_export import validator_onnx

    widths = [_inputs(network.projection), sum(_outputs(head) for head in network.heads)]
    _check_widths(contract, widths, [contract.wavelength.count, len(contract.labels)])
    parts = {"projection": network.projection} | {f"head{number}": head for number, head in enumerate(network.heads)}
    _save(Path(folder), "validator", parts, validator_onnx(network), contract, metadata)


def load_emulator(folder: str | Path) -> Emulator:
    """Load an emulator's folder.

    Raises
    ------
    InputError
        If it is no such folder, or one of its files is missing or was changed; the message names the file.
    """
    folder = Path(folder)
    description, contract = _read(folder, "emulator")
    network = OnnxNetwork(_session(folder), contract.wavelength.count)
    return Emulator(contract, description["metadata"], description["digest"], network)


def load_validator(folder: str | Path) -> Validator:
    """Load a validator's folder. As `load_emulator`."""
    folder = Path(folder)
    description, contract = _read(folder, "validator")
    network = OnnxNetwork(_session(folder), len(contract.labels))
    return Validator(contract, description["metadata"], description["digest"], network)


def load_model(folder: str | Path) -> Emulator | Validator:
    """Load a model's folder of either kind. As `load_emulator`."""
    description, _ = _read(Path(folder))
    return load_emulator(folder) if description["kind"] == "emulator" else load_validator(folder)


def read_network(folder: str | Path) -> "EmulatorNetwork | ExactEmulatorNetwork | ValidatorNetwork":
    """Rebuild the dense layers of a model's folder, of either kind. Raises like `load_emulator`."""
    from safetensors.numpy import load_file

    from stellar_emulator.networks.dense import DenseChain, DenseLayer
    from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork, exact_emulator

    folder = Path(folder)
    description, contract = _read(folder)
    weights = load_file(folder / WEIGHTS)
    chains = {
        part: DenseChain(
            tuple(
                DenseLayer(weights[f"{part}/{i}/kernel"], weights[f"{part}/{i}/bias"], layer["activation"])
                for i, layer in enumerate(layers)
            )
        )
        for part, layers in description["network"].items()
    }
    if description["kind"] == "emulator":
        exact = description["metadata"]["family"] == "exact"
        return exact_emulator(chains["chain"], contract) if exact else EmulatorNetwork(chains["chain"])
    return ValidatorNetwork(chains.pop("projection"), tuple(chains.values()))


def _save(
    folder: Path,
    kind: str,
    parts: Mapping[str, "DenseChain"],
    graph: "onnx.ModelProto",
    contract: Contract,
    metadata: Mapping[str, Any],
) -> None:
    from safetensors.numpy import save

    weights = {
        f"{part}/{i}/{name}": np.ascontiguousarray(value)
        for part, chain in parts.items()
        for i, layer in enumerate(chain.layers)
        for name, value in (("kernel", layer.kernel), ("bias", layer.bias))
    }
    files = {CONTRACT: contract.source.encode(), GRAPH: graph.SerializeToString(), WEIGHTS: save(weights)}
    description: dict[str, Any] = {
        "format": FORMAT,
        "kind": kind,
        "package": {"name": "stellar-emulator", "version": VERSION},
        "network": {part: _layers(chain) for part, chain in parts.items()},
        "metadata": dict(metadata),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    # As it will be read back: JSON turns tuples into lists and keys into text, and the digest must not notice.
    description = json.loads(json.dumps(description, allow_nan=False))
    description["digest"] = _digest(description)
    files[DESCRIPTION] = (json.dumps(description, indent=1) + "\n").encode()
    _write(folder, files)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise InputError(f"{folder} exists and holds no model: choose another folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, content in files.items():
        (partial / name).write_bytes(content)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def _read(folder: Path, kind: str | None = None) -> tuple[dict[str, Any], Contract]:
    """Description and contract of a folder whose every file is as it was saved."""
    try:
        description = json.loads((folder / DESCRIPTION).read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no model's folder: {DESCRIPTION} is missing") from error
    except ValueError as error:
        raise InputError(f"{folder / DESCRIPTION} is damaged: copy or download the model again") from error
    if not isinstance(description, dict) or description.pop("digest", None) != (digest := _digest(description)):
        raise InputError(f"{folder / DESCRIPTION} was changed after it was saved: copy or download the model again")
    if description["format"] != FORMAT:
        raise InputError(
            f"{folder} has format {description['format']}, written by stellar-emulator "
            f"{description['package']['version']}; version {VERSION} reads format {FORMAT}: upgrade it"
        )
    if kind not in (None, description["kind"]):
        raise InputError(f"{folder} holds a model of kind {description['kind']}, not {kind}")
    for name, expected in description["files"].items():
        _check_file(folder / name, expected)
    contract = parse_contract((folder / CONTRACT).read_bytes().decode(), str(folder / CONTRACT))
    return {**description, "digest": digest}, contract


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


def _digest(description: Mapping[str, Any]) -> str:
    """SHA-256 of everything that a description states, the other files' digests among it."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _session(folder: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # Waiting threads sleep: spinning gains a little latency and burns every core between two requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = _cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])


def _cores() -> int:
    """Cores that this process may use, which on shared machines are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _layers(chain: "DenseChain") -> list[dict[str, Any]]:
    return [
        {"inputs": layer.kernel.shape[0], "outputs": layer.kernel.shape[1], "activation": layer.activation}
        for layer in chain.layers
    ]


def _inputs(chain: "DenseChain") -> int:
    return int(chain.layers[0].kernel.shape[0])


def _outputs(chain: "DenseChain") -> int:
    return int(chain.layers[-1].kernel.shape[1])


def _check_widths(contract: Contract, found: list[int], wanted: list[int]) -> None:
    if found != wanted:
        raise InputError(
            f"the network takes {found[0]} values to {found[1]}, "
            f"contract {contract.name} wants {wanted[0]} to {wanted[1]}"
        )
