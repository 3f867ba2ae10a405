"""The emulator with exact broadening: plain arithmetic, ONNX graph and model folder give the same flux."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exact_network import demanding_labels, random_network
from synthetic import GAIA, SMALL, TINY

from rounding import assert_within, both, exact_flux_errors
from stellar_emulator import Emulator
from stellar_emulator.errors import InputError
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.inference import LIMB_DARKENING_WEIGHT, ExactEmulatorNetwork, exact_emulator
from stellar_emulator.saved.bundle import read_network, save_emulator

pytestmark = pytest.mark.rounding


@pytest.fixture(scope="module", params=[GAIA, SMALL], ids=lambda contract: contract.name)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExactEmulatorNetwork]:
    folder = tmp_path_factory.mktemp("exact") / "emulator"
    network = random_network(request.param)
    save_emulator(folder, network, request.param, {"seed": 1})
    return folder, network


def test_graph_and_arithmetic_agree_in_every_corner(saved: tuple[Path, ExactEmulatorNetwork]) -> None:
    folder, network = saved
    labels = demanding_labels(network.contract)
    expected = network(labels)
    found = Emulator.load(folder)(labels)
    assert found.shape == (len(labels), network.contract.wavelength.count)
    assert found.dtype == np.float32
    assert expected.min() < 0.9 < 0.999 < expected.max()  # there are lines and continuum
    assert_within(found, expected, both(*exact_flux_errors(network, labels)))


def test_one_row_is_what_it_is_in_a_batch(saved: tuple[Path, ExactEmulatorNetwork]) -> None:
    folder, network = saved
    labels = demanding_labels(network.contract)
    emulator = Emulator.load(folder)
    whole, tolerance = emulator(labels), both(*exact_flux_errors(network, labels))
    for row in (0, 17, len(labels) - 1):
        assert_within(emulator(labels[row : row + 1]), whole[row], tolerance)
        assert_within(network(labels[row : row + 1]), whole[row], tolerance)


def test_a_folder_is_rebuilt_bit_by_bit(saved: tuple[Path, ExactEmulatorNetwork]) -> None:
    folder, network = saved
    rebuilt = read_network(folder)
    assert isinstance(rebuilt, ExactEmulatorNetwork)
    labels = demanding_labels(network.contract)[:8]
    np.testing.assert_array_equal(rebuilt(labels), network(labels))
    assert Emulator.load(folder).metadata == {"seed": 1, "family": "exact"}


def test_rotation_and_resolution_leave_the_run_alone(saved: tuple[Path, ExactEmulatorNetwork]) -> None:
    """Broadening labels do not enter the chain: equivalent widths far from the edges stay."""
    folder, network = saved
    contract = network.contract
    labels = np.tile(0.5 * (contract.lower + contract.upper), (3, 1))
    labels[:, contract.label_names.index("vsini")] = [0.0, 20.0, 20.0]
    labels[:, contract.label_names.index("resolution")] = [14500.0, 14500.0, 5000.0]
    flux = Emulator.load(folder)(labels)
    widths = (1.0 - flux.astype(np.float64)).sum(axis=1)
    assert widths[0] > 1.0
    np.testing.assert_allclose(widths, widths[0], rtol=2e-3)
    assert (1.0 - flux.min(axis=1))[[0, 2]].tolist() == sorted((1.0 - flux.min(axis=1))[[0, 2]].tolist(), reverse=True)
    assert np.abs(flux[1] - flux[0]).max() > 0.01
    assert np.abs(flux[2] - flux[1]).max() > 0.01


def test_limb_darkening_of_the_chain_reaches_the_flux() -> None:
    network = random_network(SMALL)
    labels = demanding_labels(SMALL)[-10:-4]
    made: Any = network.chain(labels[:, network.run_columns].astype(np.float32))
    darker = made.copy()
    darker[:, -1] += 0.3 * LIMB_DARKENING_WEIGHT
    transfer = network.broadening.transfer(
        labels[:, network.contract.label_names.index("vsini")],
        labels[:, SMALL.label_names.index("resolution")],
        (darker[:, -1] / LIMB_DARKENING_WEIGHT).astype(np.float64),
    )
    expected: Any = network.broadening.synthesis(darker[:, :-1] * np.concatenate([transfer, transfer], axis=1))
    tolerance: Any = both(*exact_flux_errors(network, labels))
    np.testing.assert_allclose(network.broadened(darker, labels), expected, atol=tolerance)
    assert np.abs(network.broadened(darker, labels) - network.broadened(made, labels)).max() > 1e-4


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contract tiny can't broaden"):
        exact_emulator(linear_map(np.ones((2, 5)), np.ones(5)), TINY)
    short = exact_emulator(linear_map(np.ones((4, 5)), np.ones(5)), SMALL)
    with pytest.raises(InputError, match="the network takes 4 values to 5, contract small_rvs wants 4 to"):
        save_emulator(tmp_path / "emulator", short, SMALL, {})
