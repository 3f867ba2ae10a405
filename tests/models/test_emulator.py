"""The emulator as people call it: every way to give labels gives the same spectra, and wrong ones are named."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.table import MaskedColumn, QTable, Table
from astropy.units import Quantity
from astropy.utils.masked import Masked
from synthetic import TINY

from rounding import assert_within, both, chain_error
from stellar_emulator import Emulator
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.evaluation.measured import emulator_measures
from stellar_emulator.models import pair as find
from stellar_emulator.networks.dense import DenseChain, DenseLayer, linear_map, scale_inputs
from stellar_emulator.networks.inference import EmulatorNetwork
from stellar_emulator.saved.bundle import read_network, save_emulator

LABELS = np.array([[5777.0, 0.1, 2.5], [6200.0, -0.3, 40.0], [7000.0, 0.5, 0.0]])
COLUMNS = dict(zip(TINY.label_names, LABELS.T, strict=True))


def curved_network() -> EmulatorNetwork:
    """One hidden layer, so that the flux is no linear function of the labels."""
    random, width = np.random.default_rng(5), TINY.upper - TINY.lower
    hidden = DenseChain((DenseLayer(random.normal(size=(3, 8)).astype(np.float32), np.zeros(8, np.float32), "gelu"),))
    pixels = TINY.wavelength.count
    return EmulatorNetwork(
        scale_inputs(hidden, 1.0 / width, -TINY.lower / width) + linear_map(random.random((8, pixels)), np.ones(pixels))
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair's folder, of which there is only the emulator; it errs by 0.01 everywhere and by 0.02 in pixel 5."""
    folder = tmp_path_factory.mktemp("models") / "own_pair"
    network = curved_network()
    flux = network(LABELS)
    wrong = flux + np.where(np.arange(flux.shape[1]) == 5, 0.02, 0.01).astype(np.float32)
    save_emulator(folder / "emulator", network, TINY, {"seed": 1}, emulator_measures(TINY, LABELS, wrong, flux))
    return folder


@pytest.fixture(scope="module")
def emulator(folder: Path) -> Emulator:
    return Emulator.load(folder)


def rounding(labels: object) -> np.ndarray:
    return both(chain_error(curved_network().chain, np.array(labels)))


@pytest.mark.rounding
def test_every_way_to_give_labels_gives_the_same_spectra(emulator: Emulator) -> None:
    expected = curved_network()(LABELS)
    reversed_columns = dict(reversed(COLUMNS.items()))
    quantities = {
        "teff": COLUMNS["teff"] / 1000.0 * units.kK,
        "m_h": COLUMNS["m_h"] * units.Unit("dex"),
        "vsini": COLUMNS["vsini"] * 1000.0 * units.m / units.s,
    }
    without_one = {name: column for name, column in COLUMNS.items() if name != "vsini"}
    for found in (
        emulator(LABELS),
        emulator.flux(LABELS),
        emulator.flux(LABELS[:, ::-1], TINY.label_names[::-1]),
        emulator(**COLUMNS),
        emulator(reversed_columns),
        emulator(pd.DataFrame(reversed_columns)),
        emulator(Table(reversed_columns)),
        emulator(QTable(quantities)),
        emulator(**quantities),
        emulator(pd.DataFrame(without_one), vsini=COLUMNS["vsini"]),
    ):
        assert found.dtype == np.float32
        assert_within(found, expected, rounding(LABELS))


@pytest.mark.rounding
def test_scalars_give_one_spectrum_and_arrays_are_broadcast(emulator: Emulator) -> None:
    one = emulator(teff=5777, m_h=0.1, vsini=2.5)
    assert_within(one, emulator(LABELS)[0], rounding(LABELS)[0])
    assert one.shape == (777,)
    square = emulator(teff=np.array([[5000.0], [6000.0]]), m_h=[-0.5, 0.0, 0.5], vsini=10.0 * units.km / units.s)
    assert square.shape == (2, 3, 777)
    alone = emulator(teff=6000.0, m_h=0.5, vsini=10.0)
    assert_within(square[1, 2], alone, rounding([6000.0, 0.5, 10.0]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"teff": 5777, "m_h": 0.1}, "label vsini is missing: give it, 0 to 100 km/s"),
        ({**COLUMNS, "tef": 1.0}, "label tef is unknown: did you mean teff?"),
        ({**COLUMNS, "teff": 9000.0}, "teff = 9000 K in row 0 lies outside 4000 to 8000 K"),
        ({**COLUMNS, "m_h": [0.0, np.nan, 0.0]}, "m_h = nan dex in row 1 is not finite"),
        ({**COLUMNS, "m_h": ["0.0", "sun", "0.0"]}, "m_h = '0.0' in row 0 is no number"),
        ({**COLUMNS, "m_h": [0.0, 0.1]}, r"can't be broadcast: teff \(3,\), m_h \(2,\), vsini \(3,\)"),
        ({**COLUMNS, "teff": 5777.0 * units.m}, "label teff has unit m: give it in K"),
        ({**COLUMNS, "m_h": 0.1 * units.K}, "label m_h has unit K: give it in dex"),
        ({**COLUMNS, "teff": MaskedColumn([5000.0, 5000.0, 5000.0], mask=[0, 0, 1])}, "teff = nan K in row 2"),
        ({**COLUMNS, "teff": MaskedColumn(["5", "6", "7"], mask=[1, 0, 0])}, "teff = None in row 0 is no number"),
        ({**COLUMNS, "teff": Masked(Quantity([5.0, 5.0, 5.0], "kK"), mask=[0, 1, 0])}, "teff = nan K in row 1"),
        ({**COLUMNS, "teff": [[5000.0], [5000.0, 6000.0]]}, "label teff is no array: give numbers, rows of equal"),
        ({**COLUMNS, "teff": [5.0 * units.kK, 6.0 * units.kK]}, "label teff is no array: .* or one quantity"),
        ({**COLUMNS, "TEFF": 5000.0}, "label TEFF is unknown: did you mean teff?"),
        ({**COLUMNS, " m_h": 0.0}, "label ' m_h' is unknown: did you mean m_h?"),
    ],
)
def test_wrong_labels_are_named(emulator: Emulator, given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        emulator(**given)


@pytest.mark.parametrize("ask", ["flux", "jacobian", "error", "__call__", "spectra"])
def test_masked_labels_are_never_used(ask: str, emulator: Emulator) -> None:
    mask = np.zeros(LABELS.shape, dtype=bool)
    mask[1, 2] = True
    for table in (np.ma.array(LABELS, mask=mask), Masked(LABELS, mask=mask)):
        with pytest.raises(InputError, match="vsini = nan km/s in row 1 is not finite"):
            getattr(emulator, ask)(table)


def test_wavelengths_are_the_caller_s_own(emulator: Emulator) -> None:
    moved = emulator.wavelength
    moved *= 1.001
    assert emulator.wavelength[0].value == TINY.wavelength.start
    assert emulator.spectra(LABELS)[0].spectral_axis[0].value == pytest.approx(TINY.wavelength.start)


def test_wrong_tables_are_named(emulator: Emulator) -> None:
    with pytest.raises(InputError, match=r"labels have shape \(3,\): give one row a spectrum and 3 columns"):
        emulator(LABELS[0])
    with pytest.raises(InputError, match="label vsini is given 2 times"):
        emulator(pd.DataFrame(COLUMNS), vsini=3.0)


def test_wavelengths_and_version_say_what_the_model_is(emulator: Emulator, folder: Path) -> None:
    assert emulator.wavelength.unit == units.Angstrom
    np.testing.assert_array_equal(emulator.wavelength.value, TINY.wavelength.pixels)
    assert emulator.medium == "vacuum"
    assert emulator.version == f"tiny-emulator {emulator.digest[:12]}"
    assert Emulator.load(folder / "emulator").digest == emulator.digest


@pytest.mark.rounding
def test_the_jacobian_is_that_of_the_network(emulator: Emulator, folder: Path) -> None:
    network = read_network(folder / "emulator")
    assert isinstance(network, EmulatorNetwork)
    found = emulator.jacobian(LABELS)
    assert found.shape == (3, 3, 777)
    for column, step in enumerate((1e-3, 1e-6, 1e-4)):
        move = np.where(np.arange(3) == column, step, 0.0)
        expected = (network.chain(LABELS + move) - network.chain(LABELS - move)) / (2.0 * step)
        assert np.abs(found[:, column] - expected).max() < 1e-3 * np.abs(expected).max()
    many = np.repeat(LABELS, 50, axis=0)
    np.testing.assert_allclose(emulator.jacobian(many)[::50], found, rtol=1e-4, atol=1e-8)
    with pytest.raises(InputError, match="teff = 9000 K in row 0 lies outside"):
        emulator.jacobian(LABELS + np.array([3223.0, 0.0, 0.0]))


def test_the_error_is_what_was_measured(emulator: Emulator, tmp_path: Path) -> None:
    error = emulator.error(LABELS)
    assert error.shape == (3, 777)
    np.testing.assert_allclose(error[:, 5], 0.02, rtol=1e-4)
    np.testing.assert_allclose(np.delete(error, 5, axis=1), 0.01, rtol=1e-4)
    save_emulator(tmp_path / "emulator", curved_network(), TINY, {})
    with pytest.raises(InputError, match="holds no measured errors"):
        Emulator.load(tmp_path).error(LABELS)


@pytest.mark.rounding
def test_spectra_are_objects_of_specutils(emulator: Emulator) -> None:
    first, second = emulator.spectra(teff=[5777.0, 6200.0], m_h=0.1, vsini=2.5)
    alone = emulator(teff=5777.0, m_h=0.1, vsini=2.5)
    assert_within(first.flux.value, alone, rounding([5777.0, 0.1, 2.5]))
    np.testing.assert_allclose(first.spectral_axis.to_value(units.Angstrom), TINY.wavelength.pixels)
    assert first.flux.unit == units.dimensionless_unscaled
    assert second.meta == {"teff": 6200.0, "m_h": 0.1, "vsini": 2.5, "version": emulator.version, "medium": "vacuum"}


def test_a_machine_without_specutils_is_told_what_to_install(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "specutils", None)
    with pytest.raises(SetupError, match=r"pip install 'stellar-emulator\[specutils\]'"):
        emulator.spectra(teff=5777.0, m_h=0.1, vsini=2.5)


def test_a_shipped_pair_is_found_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "resource", lambda _pairs, *parts: folder.parent.joinpath(*parts))
    assert find.shipped_names() == [folder.name]
    assert Emulator.load(folder.name).digest == Emulator.load(folder).digest
    monkeypatch.setattr(find, "DEFAULT", folder.name)
    assert Emulator.load().digest == Emulator.load(folder).digest
    with pytest.raises(InputError, match=rf"nowhere is no model's folder .* \(it has {folder.name}\): give a folder"):
        Emulator.load("nowhere")


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import sys, stellar_emulator\n"
        "before = len(sys.modules)\n"
        "assert not {'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules)\n"
        "from stellar_emulator import Emulator, Validator\n"
        "assert 'onnxruntime' in sys.modules and 'astropy' not in sys.modules\n"
        "try:\n    stellar_emulator.Emulater\n"
        "except AttributeError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "module 'stellar_emulator' has no attribute 'Emulater'"
