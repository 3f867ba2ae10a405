"""Every bad request is refused in one line that names label, value, row, bounds and remedy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stellar_emulator.contract.checks import check_flux, check_labels
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError

GAIA = read_contract(Path(__file__).parents[2] / "data_contracts" / "gaia_rvs.yaml")
TINY = read_contract(Path(__file__).parents[1] / "data" / "tiny_contract.yaml")
CONTRACTS = pytest.mark.parametrize("contract", [GAIA, TINY], ids=lambda contract: contract.name)


def table(contract: Contract, rows: int = 5) -> np.ndarray:
    share = np.random.default_rng(0).random((rows, len(contract.labels)))
    return contract.lower + share * (contract.upper - contract.lower)


def refusal(contract: Contract, names: list[str], values: object) -> str:
    with pytest.raises(InputError) as refused:
        check_labels(contract, names, values)  # type: ignore[arg-type]
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    return message


def flux_refusal(contract: Contract, flux: object, noise: float = 0.0) -> str:
    with pytest.raises(InputError) as refused:
        check_flux(contract, flux, noise)  # type: ignore[arg-type]
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    return message


@CONTRACTS
def test_columns_in_any_order_come_back_in_the_contracts(contract: Contract) -> None:
    values = table(contract)
    names = contract.label_names
    np.testing.assert_array_equal(check_labels(contract, names[::-1], values[:, ::-1]), values)


@CONTRACTS
def test_bounds_are_inclusive_in_both_precisions(contract: Contract) -> None:
    corners = np.stack([contract.lower, contract.upper])
    assert len(check_labels(contract, contract.label_names, corners)) == 2
    assert len(check_labels(contract, contract.label_names, corners.astype(np.float32))) == 2
    values = np.nextafter(corners, [contract.lower - 1, contract.upper + 1])
    refusal(contract, contract.label_names, values[:1])
    refusal(contract, contract.label_names, values[1:])


def test_float32_meets_a_bound_that_it_can_not_hold() -> None:
    label = TINY.labels[1].model_copy(update={"upper": 0.1})  # float32(0.1) lies above 0.1
    contract = TINY.model_copy(update={"labels": (TINY.labels[0], label, TINY.labels[2])})
    values = np.array([[5000, 0.1, 10]], dtype=np.float32)
    assert len(check_labels(contract, contract.label_names, values)) == 1


def test_value_out_of_bounds_names_everything() -> None:
    values = table(GAIA)
    values[3, 0] = 16000
    assert refusal(GAIA, GAIA.label_names, values) == (
        "teff = 16000 K in row 3 lies outside 3600 to 15000 K: choose a value inside, or train on a grid that covers it"
    )
    values = table(TINY)
    values[0, 1] = -1.25
    assert "m_h = -1.25 dex in row 0 lies outside -1 to 0.5 dex" in refusal(TINY, TINY.label_names, values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_not_finite_names_everything(value: float) -> None:
    values = table(GAIA)
    values[2, 5] = value
    assert refusal(GAIA, GAIA.label_names, values) == (
        f"resolution = {value} in row 2 is not finite: give 5000 to 14500"
    )


@pytest.mark.parametrize("value", ["5000", None, pd.NA, True, 1j, b"5"])
def test_value_that_is_no_number_is_never_cast(value: object) -> None:
    values = table(GAIA).astype(object)
    values[1, 0] = value
    message = refusal(GAIA, GAIA.label_names, values)
    assert message == f"teff = {value!r} in row 1 is no number: give 3600 to 15000 K"


def test_numbers_among_objects_are_numbers() -> None:
    values = table(GAIA)
    np.testing.assert_array_equal(check_labels(GAIA, GAIA.label_names, values.astype(object)), values)


def test_names_missing_unknown_or_twice() -> None:
    names = GAIA.label_names
    values = table(GAIA)
    assert refusal(GAIA, [*names[:4], names[5]], values[:, :5]) == "label vmicro is missing: give it, 0 to 4 km/s"
    unknown = refusal(GAIA, [*names, "vmic"], np.c_[values, values[:, 0]])
    assert "label vmic is unknown: did you mean vmicro?" in unknown
    assert "teff, logg, vsini" in unknown
    assert "label teff is given 2 times" in refusal(GAIA, [*names, "teff"], np.c_[values, values[:, 0]])


@pytest.mark.parametrize("shape", [(6,), (2, 5), (1, 2, 6)])
def test_wrong_shape(shape: tuple[int, ...]) -> None:
    assert f"labels have shape {shape}" in refusal(GAIA, GAIA.label_names, np.ones(shape))


def test_no_rows_and_ragged_rows() -> None:
    assert "no rows" in refusal(GAIA, GAIA.label_names, np.ones((0, 6)))
    assert "rows of equal length" in refusal(GAIA, GAIA.label_names, [[1.0, 2.0], [3.0]])
    assert "rows of equal length" in flux_refusal(GAIA, [[1.0, 2.0], [3.0]])


@CONTRACTS
def test_good_flux_passes_as_float32(contract: Contract) -> None:
    flux = np.array([[contract.flux.lower], [contract.flux.upper]]) * np.ones(contract.wavelength.count)
    checked = check_flux(contract, flux)
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, flux.astype(np.float32))


def test_flux_on_another_axis_says_which_is_wanted() -> None:
    assert flux_refusal(GAIA, np.ones((2, 3999))) == (
        "flux has 3999 pixels, contract gaia_rvs wants 4000: resample it to 8400 to 8799.9 Angstrom (air), step 0.1"
    )
    assert "5000 to 5155.2 Angstrom (vacuum), step 0.2" in flux_refusal(TINY, np.ones((2, 4000)))


@CONTRACTS
def test_flux_that_is_not_finite_or_out_of_range(contract: Contract) -> None:
    flux = np.ones((3, contract.wavelength.count))
    flux[1, 20] = np.nan
    where = f"row 1, pixel 20 ({contract.wavelength.pixels[20]:g} Angstrom)"
    assert f"flux = nan in {where} is not finite" in flux_refusal(contract, flux)
    flux[1, 20] = 1.25
    message = flux_refusal(contract, flux)
    assert f"flux = 1.25 in {where} lies outside" in message
    assert "continuum" in message


def test_noise_widens_the_flux_range() -> None:
    flux = np.ones((1, 4000))
    flux[0, 0] = 1.15
    flux_refusal(GAIA, flux)
    flux_refusal(GAIA, flux, noise=0.01)
    assert check_flux(GAIA, flux, noise=0.02).shape == (1, 4000)
    assert "noise = -0.02" in flux_refusal(GAIA, flux, noise=-0.02)
    assert "noise = nan" in flux_refusal(GAIA, flux, noise=np.nan)


@pytest.mark.parametrize(
    ("flux", "part"),
    [
        (np.ones(4000), "shape (4000,)"),
        (np.ones((0, 4000)), "no rows"),
        (np.full((1, 4000), "1.0"), "no table of numbers"),
        (np.ones((1, 4000), dtype=complex), "no table of numbers"),
    ],
)
def test_flux_of_wrong_kind(flux: np.ndarray, part: str) -> None:
    assert part in flux_refusal(GAIA, flux)
