"""Where contracts overlap: labels by name or role, pixels across media and axes; what a lack of it is answered with."""

import numpy as np
import pytest
from synthetic import GAIA, GAIA_DR3, TINY, with_axis

from stellar_emulator import Emulator
from stellar_emulator.contract.contract import parse_contract
from stellar_emulator.errors import InputError
from stellar_emulator.validation.overlap import overlap

SUN = {"teff": 5777.0, "logg": 4.44, "vsini": 2.0, "m_h": 0.0, "vmicro": 1.0}


def test_a_contract_covers_itself_without_interpolation():
    common = overlap(GAIA, GAIA)
    assert common.same_axis
    np.testing.assert_array_equal(common.pixels, np.arange(GAIA.wavelength.count))
    flux = np.random.default_rng(1).random((2, GAIA.wavelength.count)).astype(np.float32)
    np.testing.assert_array_equal(common.on_grid(flux), flux)
    labels = np.array([[5777.0, 4.4, 2.0, 0.0, 1.0, 11500.0], [5777.0, 4.4, 2.0, 0.0, 1.0, 99999.0]])
    np.testing.assert_array_equal(common.inside(common.labels(labels)), [True, False])


def test_the_archive_s_axis_lies_within_that_of_the_grid_across_air_and_vacuum():
    common = overlap(GAIA_DR3, GAIA)
    wide, archive = Emulator.load("gaia_rvs"), Emulator.load("gaia_dr3_rvs")
    labels = np.array([list(SUN.values())])
    interpolated = common.on_grid(wide.network(common.labels(labels)))
    assert len(common.pixels) == GAIA_DR3.wavelength.count
    assert np.abs(interpolated - archive.network(labels)).max() < 1e-4


def test_the_other_way_round_wants_the_resolution_that_the_reference_has_not():
    with pytest.raises(InputError, match="knows nothing of"):
        overlap(GAIA, GAIA_DR3)


def test_a_label_that_the_grid_lacks_is_named():
    with pytest.raises(
        InputError, match=r"contract gaia_rvs of the reference has a label logg \(dex\) that contract tiny"
    ):
        overlap(TINY, GAIA)


def test_axes_that_don_t_meet_are_refused():
    far = with_axis("{start: 6000.0, step: 0.2, count: 777, unit: Angstrom, medium: vacuum}")
    with pytest.raises(InputError, match="contracts tiny and tiny have 0 pixels in common"):
        overlap(far, TINY)


def test_a_label_is_known_by_its_role_whatever_it_is_called():
    renamed = parse_contract(
        TINY.source.replace("name: vsini,", "name: v_rot, role: vsini,")
        .replace("vsini:", "v_rot:")
        .replace("{teff: [4000.0, 6000.0], v_rot", "{teff: [4000.0, 6000.0], v_rot")
    )
    assert overlap(renamed, TINY).columns == (0, 1, 2)
