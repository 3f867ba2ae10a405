"""Where a grid ends, the model that goes on and holds the star is named: the same axis first, then the same medium."""

import numpy as np
import pytest

from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.fitting.goes_on import that_goes_on
from stellar_emulator.fitting.warn import about_labels

STARS = read_contract("rvs_stars")
SUN = {
    "teff": 5777.0,
    "logg": 4.44,
    "m_h": 0.0,
    "alpha_m": 0.0,
    "n_m": 0.0,
    "vmicro": 1.0,
    "vsini": 2.0,
    "resolution": 11500.0,
}


def found(contract: Contract, name: str, value: float, **others: float) -> tuple[str, float] | None:
    star = {**SUN, **others, name: value}
    labels = np.array([star[label] for label in contract.label_names])
    place = contract.label_names.index(name)
    label = contract.labels[place]
    return that_goes_on(contract, labels, place, above=value > (label.lower + label.upper) / 2.0)


@pytest.mark.parametrize(
    ("contract", "model"),
    [("rvs_stars", "gaia_rvs"), ("gaia_dr3_rvs_stars", "gaia_dr3_rvs"), ("gaia_dr4_rvs", "gaia_dr3_rvs")],
)
def test_hot_stars_go_on_to_the_model_of_the_same_wavelengths(contract: str, model: str) -> None:
    assert found(read_contract(contract), "teff", 8000.0) == (model, 15000.0)


@pytest.mark.parametrize("others", [{"m_h": -2.2}, {"logg": 1.5}, {"resolution": 20000.0}])
def test_a_model_that_does_not_hold_the_star_is_not_named(others: dict[str, float]) -> None:
    other = found(STARS, "teff", 8000.0, **others)
    assert other is None or other[0] != "gaia_rvs"


def test_nothing_is_named_where_nothing_goes_on() -> None:
    assert found(STARS, "alpha_m", 0.6) is None
    assert found(STARS, "teff", 3500.0) is None


def test_a_model_of_other_wavelengths_is_not_named() -> None:
    elsewhere = STARS.model_copy(update={"wavelength": STARS.wavelength.model_copy(update={"start": 8700.0})})
    assert found(elsewhere, "teff", 8000.0) is None


@pytest.mark.parametrize(
    ("name", "value", "said"), [("teff", 7999.0, "gaia_rvs goes on to 15000"), ("m_h", -3.999, "")]
)
def test_the_warning_of_an_edge_names_it(name: str, value: float, said: str) -> None:
    star = {**SUN, "logg": 4.0, name: value}
    [warning] = about_labels(STARS, np.array([star[label] for label in STARS.label_names]), np.ones(8, dtype=bool))
    assert f"{name} = {value:g} lies at the edge" in warning
    assert warning.endswith(f"; {said} (--model gaia_rvs)" if said else f"to {0.5:g}")
