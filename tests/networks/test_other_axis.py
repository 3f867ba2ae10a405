"""One trained emulator on two wavelength axes."""

from pathlib import Path

import numpy as np
import pytest
from exact_network import demanding_labels, random_network
from scipy.interpolate import CubicSpline
from synthetic import GAIA, GAIA_DR3, SMALL

from rounding import assert_within, both, exact_flux_errors
from stellar_emulator import Emulator
from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import parse_contract, read_contract
from stellar_emulator.contract.medium import to_air
from stellar_emulator.errors import InputError
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.other_axis import on_axis
from stellar_emulator.saved.bundle import save_emulator


@pytest.mark.rounding
def test_flux_on_the_second_axis_is_that_of_the_first_resampled(tmp_path: Path) -> None:
    first = random_network(GAIA)
    labels = demanding_labels(GAIA)
    labels[:, GAIA.label_names.index("resolution")] = GAIA_DR3.instrument.resolution
    spline = CubicSpline(GAIA.wavelength.pixels, first(labels), axis=1)
    expected = spline(to_air(GAIA_DR3.wavelength.pixels))
    second = on_axis(first, GAIA_DR3)
    found = second(labels[:, :-1])
    assert found.shape == (len(labels), 2401)
    assert found.min() < 0.9
    assert np.abs(found - expected).max() < 1e-4
    assert len(second.broadening.frequencies) < 0.8 * len(first.broadening.frequencies)
    whole = ExactEmulatorNetwork(first.chain, contract_broadening(GAIA_DR3), GAIA_DR3)
    assert np.abs(found - whole(labels[:, :-1])).max() < 2e-5
    with pytest.raises(InputError, match="knows no more than its own instrument passes"):
        on_axis(second, GAIA)
    save_emulator(tmp_path / "emulator", second, GAIA_DR3, {})
    tolerance = both(*exact_flux_errors(second, labels[:, :-1]))
    assert_within(Emulator.load(tmp_path / "emulator")(labels[:, :-1]), found, tolerance)


def test_networks_that_do_not_fit_are_refused_by_what_differs() -> None:
    learned = EmulatorNetwork(linear_map(np.ones((6, 5)), np.ones(5)))
    with pytest.raises(InputError, match="learned its broadening serves its own axis alone, not that of contract ga"):
        on_axis(learned, GAIA_DR3)
    with pytest.raises(InputError, match="contract small_rvs can't serve contract gaia_dr3_rvs: intrinsic axis start"):
        on_axis(random_network(SMALL), GAIA_DR3)
    duller = parse_contract(GAIA_DR3.source.replace("sharpest: 14500.0", "sharpest: 13000.0"))
    with pytest.raises(InputError, match=r"sharpest resolution 14500\.0 against 13000\.0"):
        on_axis(random_network(GAIA), duller)
    hotter = parse_contract(
        GAIA_DR3.source.replace("lower: 3600.0, upper: 15000.0, kind", "lower: 3700.0, upper: 15000.0, kind")
    )
    with pytest.raises(InputError, match="run labels"):
        on_axis(random_network(GAIA), hotter)
    stars = read_contract("rvs_stars")
    in_lte = parse_contract(stars.source.replace("departures: ca_ii\n", ""))
    with pytest.raises(InputError, match="departures from LTE None against ca_ii"):
        on_axis(random_network(in_lte), stars)
    published = parse_contract(stars.source.replace("line_data: calibrated\n", ""))
    with pytest.raises(InputError, match="line data published against calibrated"):
        on_axis(random_network(published), stars)
