"""Model folders: what is saved is what answers, and nothing that was changed since is loaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rounding import assert_within, both, chain_error
from stellar_emulator import Emulator, Validator
from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.models import pair
from stellar_emulator.models.emulator import FLUX_TOLERANCE
from stellar_emulator.models.pair import find_model, find_pair
from stellar_emulator.models.validator import LABEL_TOLERANCE
from stellar_emulator.networks.coordinates import Coordinate
from stellar_emulator.networks.dense import DenseChain, DenseLayer, linear_map, scale_inputs
from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork
from stellar_emulator.networks.onnx.runtime import CHUNK_ROWS
from stellar_emulator.saved import bundle
from stellar_emulator.saved.bundle import read_bundle, read_network, save_emulator, save_validator
from stellar_emulator.saved.fingerprint import require_same_answers
from stellar_emulator.saved.rebuilt import require_graph_of_weights, require_rows_alone
from stellar_emulator.training.interpolation import interpolate

GAIA = read_contract(Path(__file__).parents[2] / "data_contracts" / "gaia_rvs.yaml")
TINY = read_contract(Path(__file__).parents[1] / "data" / "tiny_contract.yaml")
CONTRACTS = pytest.mark.parametrize("contract", [GAIA, TINY], ids=lambda contract: contract.name)
FILES = ["contract.yaml", "fingerprint.npz", "model.json", "model.onnx"]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, shape[0] ** -0.5, shape).astype(np.float32)


def emulator_network(contract: Contract) -> EmulatorNetwork:
    width = contract.upper - contract.lower
    hidden = DenseChain((DenseLayer(normal(len(contract.labels), 16), normal(16), "silu"),))
    scaled = scale_inputs(hidden, 1 / width, -contract.lower / width)
    return EmulatorNetwork(
        scaled + linear_map(normal(16, contract.wavelength.count), normal(contract.wavelength.count))
    )


def validator_network(contract: Contract) -> ValidatorNetwork:
    heads = tuple(
        DenseChain((DenseLayer(normal(5, 8, seed=seed), normal(8), "relu"),)) + linear_map(normal(8, 1), normal(1))
        for seed in range(len(contract.labels))
    )
    return ValidatorNetwork(linear_map(normal(contract.wavelength.count, 5), normal(5)), heads)


def labels_of(contract: Contract, rows: int) -> np.ndarray:
    share = np.random.default_rng(1).random((rows, len(contract.labels)))
    return contract.lower + share * (contract.upper - contract.lower)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_emulator(tmp_path / "emulator", emulator_network(TINY), TINY, {"seed": 1})
    return tmp_path / "emulator"


@pytest.mark.rounding
@CONTRACTS
def test_loaded_emulator_gives_what_the_network_gave(contract: Contract, tmp_path: Path) -> None:
    network = emulator_network(contract)
    save_emulator(tmp_path / "model", network, contract, {"mae": 1e-3, "runs": (1, 2)})
    emulator = Emulator.load(tmp_path / "model")
    # Further expectations of grids are no part of a model's contract.
    assert emulator.contract == parse_contract(contract.source)
    assert emulator.metadata == {"mae": 1e-3, "runs": [1, 2], "family": "learned"}
    for rows in (1, 3, 2 * CHUNK_ROWS + 1):
        labels = labels_of(contract, rows)
        flux = emulator(labels)
        assert flux.dtype == np.float32
        assert flux.shape == (rows, contract.wavelength.count)
        assert_within(flux, network(labels), both(chain_error(network.chain, labels)))
        np.testing.assert_array_equal(emulator.flux(labels[:, ::-1], contract.label_names[::-1]), flux)


@pytest.mark.rounding
def test_a_validator_is_remembered_by_spectra_that_it_knows(tmp_path: Path) -> None:
    """Others have faint components of thousands of deviations, for which rounding alone moves labels too far."""
    basis = np.linalg.qr(normal(GAIA.wavelength.count, 15).astype(np.float64))[0]
    kernel = basis / np.geomspace(3.0, 0.05, 15)
    heads = tuple(linear_map(normal(15, 1, seed=seed), normal(1)) for seed in range(len(GAIA.labels)))
    network = ValidatorNetwork(linear_map(kernel, -0.95 * kernel.sum(axis=0)), heads)
    save_validator(tmp_path / "model", network, GAIA, {})
    inputs = read_bundle(tmp_path / "model").fingerprint["inputs"]
    assert inputs.shape == (3, 4000)
    components = (inputs - 0.95) @ kernel
    assert 0.9 < np.abs(components).max() < 1.1
    Validator.load(tmp_path / "model")


def test_rounding_that_a_validator_blows_up_is_allowed_for_and_no_more(tmp_path: Path) -> None:
    kernel = np.linalg.qr(normal(TINY.wavelength.count, 5).astype(np.float64))[0] / np.geomspace(3.0, 1e-5, 5)
    heads = tuple(linear_map(normal(5, 1, seed=seed), normal(1)) for seed in range(len(TINY.labels)))
    save_validator(tmp_path / "model", ValidatorNetwork(linear_map(kernel, -kernel.sum(axis=0)), heads), TINY, {})
    bundle = read_bundle(tmp_path / "model")
    kept: Any = bundle.fingerprint
    assert kept["rounding"].min() > 10.0 * LABEL_TOLERANCE * np.abs(kept["outputs"]).max()
    require_same_answers(bundle, lambda flux: kept["outputs"] + 0.9 * kept["rounding"], LABEL_TOLERANCE)
    with pytest.raises(SetupError, match="computes other answers"):
        require_same_answers(bundle, lambda flux: kept["outputs"] + 1.1 * kept["rounding"], LABEL_TOLERANCE)
    Validator.load(tmp_path / "model")


@pytest.mark.rounding
@CONTRACTS
def test_loaded_validator_gives_what_the_network_gave(contract: Contract, tmp_path: Path) -> None:
    network = validator_network(contract)
    save_validator(tmp_path / "model", network, contract, {})
    validator = Validator.load(tmp_path / "model")
    flux = np.random.default_rng(2).random((4, contract.wavelength.count), dtype=np.float32)
    expected = network(flux)
    errors = [chain_error(network.projection + head, flux) for head in network.heads]
    assert_within(validator(flux), expected, both(np.concatenate(errors, axis=1)))
    assert validator(flux).shape == (4, len(contract.labels))


@pytest.mark.rounding
def test_network_is_rebuilt_bit_by_bit(tmp_path: Path) -> None:
    save_emulator(tmp_path / "emulator", emulator_network(GAIA), GAIA, {})
    save_validator(tmp_path / "validator", validator_network(GAIA), GAIA, {})
    emulator, validator = read_network(tmp_path / "emulator"), read_network(tmp_path / "validator")
    assert isinstance(emulator, EmulatorNetwork)
    assert isinstance(validator, ValidatorNetwork)
    assert [layer.activation for layer in emulator.chain.layers] == ["silu", "linear"]
    np.testing.assert_array_equal(emulator(labels_of(GAIA, 5)), emulator_network(GAIA)(labels_of(GAIA, 5)))
    flux = np.random.default_rng(2).random((4, 4000), dtype=np.float32)
    np.testing.assert_array_equal(validator(flux), validator_network(GAIA)(flux))


def test_same_model_has_same_digest_and_another_has_not(saved: Path, tmp_path: Path) -> None:
    digest = Emulator.load(saved).digest
    save_emulator(tmp_path / "again", emulator_network(TINY), TINY, {"seed": 1})
    save_emulator(tmp_path / "other", emulator_network(TINY), TINY, {"seed": 2})
    assert Emulator.load(tmp_path / "again").digest == digest
    assert Emulator.load(tmp_path / "other").digest != digest


def test_folder_holds_four_files_and_none_of_them_is_pickled(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == FILES
    assert (saved / "contract.yaml").read_text() == TINY.source
    description = json.loads((saved / "model.json").read_text())
    assert description["kind"] == "emulator"
    assert description["network"]["chain"][0] == {"inputs": 3, "outputs": 16, "activation": "silu"}
    assert [path.name for path in saved.parent.iterdir()] == ["emulator"]  # nothing partial is left beside it


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused_naming_the_file(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).write_bytes(content)
    for read in (Emulator.load, read_network):
        with pytest.raises(InputError, match=f"{name} (was changed|is damaged)") as refused:
            read(saved)
        assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        Emulator.load(saved)


def test_wrong_kind_wrong_format_and_no_folder(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="holds a model of kind emulator, not validator"):
        Validator.load(saved)
    with pytest.raises(InputError, match="nowhere is no model's folder"):
        Emulator.load(tmp_path / "nowhere")
    for oldest, newest, remedy in ((1, 2, "upgrade it"), (5, 6, "train the model again")):
        monkeypatch.setattr("stellar_emulator.saved.bundle.OLDEST_FORMAT", oldest)
        monkeypatch.setattr("stellar_emulator.saved.bundle.FORMAT", newest)
        with pytest.raises(InputError, match=rf"has format 4, .* reads formats {oldest} to {newest}: {remedy}"):
            Emulator.load(saved)


def test_a_folder_of_the_format_before_is_still_read(saved: Path) -> None:
    path = saved / "model.json"
    description = json.loads(path.read_text())
    del description["digest"], description["coordinates"], description["radial"]
    description["format"] = 2
    path.write_text(json.dumps({**description, "digest": bundle._digest(description)}))
    labels = labels_of(TINY, 5)
    network = read_network(saved)
    assert isinstance(network, EmulatorNetwork)
    np.testing.assert_array_equal(network(labels), emulator_network(TINY)(labels))
    np.testing.assert_allclose(Emulator.load(saved)(labels), network(labels), atol=FLUX_TOLERANCE)


@pytest.mark.rounding
def test_radial_functions_are_kept_and_their_graph_is_made_again(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    nodes = random.uniform(-1.0, 1.0, (12, len(TINY.labels))).astype(np.float32)
    spectra = random.normal(1.0, 0.1, (12, TINY.wavelength.count)).astype(np.float32)
    network = EmulatorNetwork(interpolate(nodes, TINY.labels, spectra, 1).chain)
    save_emulator(tmp_path / "between", network, TINY, {})
    bundle = read_bundle(tmp_path / "between")
    given = read_network(bundle)
    assert isinstance(given, EmulatorNetwork)
    labels = labels_of(TINY, 5)
    np.testing.assert_array_equal(given(labels), network(labels))
    emulator = Emulator.load(tmp_path / "between")
    np.testing.assert_allclose(emulator(labels), network(labels), atol=FLUX_TOLERANCE)
    require_graph_of_weights(bundle)
    require_rows_alone(bundle, emulator.network, labels, FLUX_TOLERANCE)


@pytest.mark.rounding
def test_coordinates_of_labels_are_kept(tmp_path: Path) -> None:
    layers = emulator_network(TINY).chain.layers
    coordinates = (Coordinate("itself", 2), Coordinate("reciprocal", 0), Coordinate("power", 1))
    given = EmulatorNetwork(DenseChain(layers, coordinates))
    assert TINY.lower[0] > 0
    save_emulator(tmp_path / "emulator", given, TINY, {})
    labels = labels_of(TINY, 5)
    again = read_network(tmp_path / "emulator")
    assert isinstance(again, EmulatorNetwork)
    assert again.chain.coordinates == coordinates
    expected = given(labels)
    np.testing.assert_array_equal(again(labels), expected)
    found = Emulator.load(tmp_path / "emulator")(labels)
    assert_within(found, expected, both(chain_error(given.chain, labels)))


def test_a_model_is_replaced_but_nothing_else(saved: Path, tmp_path: Path) -> None:
    save_emulator(saved, emulator_network(TINY), TINY, {"seed": 2})
    assert Emulator.load(saved).metadata["seed"] == 2
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("precious")
    with pytest.raises(InputError, match="thesis exists and holds no model"):
        save_emulator(tmp_path / "thesis", emulator_network(TINY), TINY, {})
    assert (tmp_path / "thesis" / "chapter").read_text() == "precious"


SAVING = """
import os, shutil, signal, sys
from pathlib import Path

from stellar_emulator.contract.contract import read_contract
from stellar_emulator.saved import bundle

folder, source = Path(sys.argv[1]), Path(sys.argv[2])
network, contract = bundle.read_network(source), read_contract(sys.argv[3])

def counted(step):
    def inner(*args, **kwargs):
        global steps
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps -= 1
        return step(*args, **kwargs)
    return inner

shutil.rmtree.avoids_symlink_attacks  # looked up before any call
for start in range(200):
    shutil.copytree(source, folder / str(start) / "model")
    child = os.fork()
    if child == 0:
        steps = start
        for name in ("rename", "fsync", "open", "mkdir", "unlink", "rmdir"):
            setattr(os, name, counted(getattr(os, name)))
        bundle.save_emulator(folder / str(start) / "model", network, contract, {"seed": 2})
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""
"""Replaces a model in one process after another, each of which dies one step later than the one before."""


def test_a_model_whose_successor_s_writer_is_killed_is_the_old_or_the_new_one(saved: Path, tmp_path: Path) -> None:
    contract = Path(__file__).parents[1] / "data" / "tiny_contract.yaml"
    subprocess.run([sys.executable, "-c", SAVING, tmp_path / "kills", saved, contract], check=True)
    places = sorted((tmp_path / "kills").iterdir(), key=lambda place: int(place.name))
    assert [place for place in places if not (place / "model").exists()]  # between its two steps
    seeds = []
    for place in places:
        assert find_model(str(place / "model"), "emulator") == place / "model"
        seeds.append(read_bundle(place / "model").metadata["seed"])
    assert set(seeds) == {1, 2}
    assert seeds == sorted(seeds)


def test_a_pair_that_a_kill_left_aside_is_found(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    monkeypatch.setattr(pair, "resource", pairs.parent.joinpath)
    save_validator(tmp_path / "validator", validator_network(TINY), TINY, {})
    for place in (tmp_path / ".taken.old", pairs / ".shipped.old"):
        for kind in ("emulator", "validator"):
            shutil.copytree(tmp_path / kind, place / kind)
    for name, folder in ((str(tmp_path / "taken"), tmp_path / "taken"), ("shipped", pairs / "shipped")):
        assert find_pair(name) == (folder / "emulator", folder / "validator")
        (folder / "validator").rename(folder / ".validator.old")
        assert find_pair(name) == (folder / "emulator", folder / "validator")
    shutil.copytree(pairs / "shipped", pairs / ".shipped.partial")
    assert pair.shipped_names() == ["shipped"]


def test_a_network_that_does_not_fit_the_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes 6 values to 4000, contract tiny wants 3 to 777"):
        save_emulator(tmp_path / "model", emulator_network(GAIA), TINY, {})
    with pytest.raises(InputError, match="takes 4000 values to 6, contract tiny wants 777 to 3"):
        save_validator(tmp_path / "model", validator_network(GAIA), TINY, {})
    assert not (tmp_path / "model").exists()


def test_bad_requests_are_refused(saved: Path, tmp_path: Path) -> None:
    emulator = Emulator.load(saved)
    with pytest.raises(InputError, match=r"teff = 9000 K in row 0 lies outside 4000 to 8000 K"):
        emulator(np.array([[9000.0, 0.0, 10.0]]))
    save_validator(tmp_path / "validator", validator_network(TINY), TINY, {})
    validator = Validator.load(tmp_path / "validator")
    noisy = np.full((1, 777), 1.2)
    with pytest.raises(InputError, match=r"flux = 1\.2\d* in row 0, pixel 0"):
        validator(noisy)
    assert validator(noisy, noise=0.02).shape == (1, 3)


def test_loading_and_generating_import_nothing_heavy(saved: Path) -> None:
    code = (
        "import sys; from stellar_emulator import Emulator\n"
        f"assert Emulator.load({str(saved)!r})([[5000.0, 0.0, 10.0]]).shape == (1, 777)\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "onnxruntime" in loaded
    assert not loaded & {"tensorflow", "jax", "keras", "mlflow", "pandas", "scipy", "sklearn", "onnx", "safetensors"}


def test_no_weight_is_stored_twice(tmp_path: Path) -> None:
    network = emulator_network(GAIA)
    save_emulator(tmp_path / "model", network, GAIA, {})
    weights = 4 * sum(layer.kernel.size + layer.bias.size for layer in network.chain.layers)
    size = sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert weights < size < weights + 100_000


def test_a_network_that_answers_otherwise_than_it_did_is_refused(saved: Path) -> None:
    """As if another version of ONNX Runtime computed something else."""
    bundle = read_bundle(saved)
    emulator = Emulator.load(saved)
    require_same_answers(bundle, emulator.network, FLUX_TOLERANCE)
    with pytest.raises(SetupError, match=r"computes other answers from .*model.onnx than were saved"):
        require_same_answers(bundle, lambda labels: emulator.network(labels) + np.float32(1e-3), FLUX_TOLERANCE)


def test_measured_errors_are_kept_and_missed_by_name(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no measured errors of its model"):
        _ = read_bundle(saved).measured
    save_emulator(tmp_path / "other", emulator_network(TINY), TINY, {}, {"flux_rms": np.full((2, 2, 777), 0.25)})
    np.testing.assert_array_equal(read_bundle(tmp_path / "other").measured["flux_rms"], 0.25)
