"""Readers of foreign grids: labels, wavelengths and flux of stand-ins with the layout of the real files."""

from pathlib import Path

import foreign
import numpy as np
import pytest

from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.find import FORMATS, find_members, formats_of
from stellar_emulator.grid.readers.foreign import ForeignSpectrum, Member, ascending
from stellar_emulator.grid.readers.msg import disc_flux, linear_darkening
from stellar_emulator.grid.readers.names import canonical, label_source, labels_of_name


def made(name: str, folder: Path) -> list[Path]:
    """The files of a stand-in."""
    source = {
        "turbospectrum": lambda: foreign.turbospectrum(folder / "t"),
        "bt-settl": lambda: foreign.bt_settl(folder / "b"),
        "ferre": lambda: foreign.ferre(folder / "grid.dat"),
        "apogee": lambda: foreign.apogee(folder / "grid.fits"),
        "msg": lambda: foreign.msg(folder / "grid.h5"),
        "moog": lambda: foreign.moog(folder / "out2"),
        "phoenix": lambda: foreign.phoenix(folder / "p"),
    }[name]()
    return sorted(source.iterdir()) if source.is_dir() else [source]


def members_of(paths: list[Path], form: str | None = None) -> tuple[Member, ...]:
    found = find_members(paths, form, labels_of_name)
    assert found.broken == {}
    return found.members


@pytest.mark.parametrize("name", ["turbospectrum", "bt-settl", "ferre", "apogee", "msg", "moog", "phoenix"])
def test_a_file_is_recognised_by_one_format_and_read(name: str, tmp_path: Path) -> None:
    paths = made(name, tmp_path)
    assert [form.name for form in formats_of(paths[-1])] == [name]
    members = members_of(paths)
    assert len(members) == (2 if name == "moog" else 12)
    for member in members:
        spectrum = ascending(member.key, member.read())
        flux = spectrum.flux / np.median(spectrum.flux)
        depth = 0.2 + 0.5 * (member.labels["teff"] - 5000.0) / 2000.0
        assert 1.0 - flux.min() == pytest.approx(depth, abs=0.03), member.key


def test_flux_is_on_its_wavelengths(tmp_path: Path) -> None:
    """The line lies at its place in Angstrom, whatever the unit of the file."""
    for name in ("turbospectrum", "bt-settl", "msg", "moog", "phoenix"):
        for member in members_of(made(name, tmp_path)):
            spectrum = member.read()
            assert spectrum.wavelength[spectrum.flux.argmin()] == pytest.approx(foreign.CENTRE, abs=0.08), name


def test_the_medium_is_what_is_stated(tmp_path: Path) -> None:
    media = {name: members_of(made(name, tmp_path))[0].stated.medium for name in ("turbospectrum", "apogee", "moog")}
    assert media == {"turbospectrum": "air", "apogee": "air", "moog": None}
    assert members_of([foreign.ferre(tmp_path / "a.dat", "unknown code")])[0].stated.medium is None
    for kind, medium in (("WAVE", "vacuum"), ("AWAV", "air"), ("AWAV-LOG", "air"), ("WAVE-LOG", "vacuum")):
        (first, *_) = members_of([foreign.phoenix(tmp_path / kind, kind)])
        assert first.stated.medium == medium
        spectrum = first.read()
        assert spectrum.wavelength[spectrum.flux.argmin()] == pytest.approx(foreign.CENTRE, abs=0.3)


def test_a_file_cut_short_is_listed_and_a_whole_one_is_not(tmp_path: Path) -> None:
    whole, cut = foreign.ferre(tmp_path / "whole.dat"), foreign.ferre(tmp_path / "cut.dat", rows=11)
    found = find_members([whole, cut], "ferre", labels_of_name)
    assert len(found.members) == 12
    assert found.broken == {"cut.dat": "cut.dat: 11 spectra for N_P = 4 3 1: it was cut short"}


def test_an_atmosphere_is_no_spectrum(tmp_path: Path) -> None:
    from astropy.io import fits

    table = fits.BinTableHDU.from_columns([fits.Column("tau", "E", array=np.ones(3))], name="ATMOSPHERE")
    first = fits.PrimaryHDU()
    first.header["PHXTEFF"] = 9600.0
    fits.HDUList([first, table]).writeto(tmp_path / "lte09600-4.00-0.0.ATMOS.fits")
    with pytest.raises(InputError, match="no spectrum, but ATMOSPHERE: a model atmosphere"):
        find_members([tmp_path], None, labels_of_name)


def test_what_no_format_recognises_is_refused_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none of your numbers\n")
    with pytest.raises(
        InputError, match=r"no format recognises notes.txt: it may be cut short; else name its .* one of apogee"
    ):
        find_members([tmp_path], None, labels_of_name)
    with pytest.raises(InputError, match="format mog is unknown"):
        find_members([tmp_path], "mog", labels_of_name)
    with pytest.raises(InputError, match="does not exist"):
        find_members([tmp_path / "absent"], None, labels_of_name)


def test_formats_have_names_of_their_own() -> None:
    assert len({form.name for form in FORMATS}) == len(FORMATS)


NAMES = {
    "s5000_g+2.0_m1.0_t02_st_z-0.50_a+0.20_c+0.00_n+0.00_o+0.20.spec": (5000.0, 2.0, -0.5, 0.2, 2.0),
    "M_s5000g4.0z-1.00t1.0_a0.40c0.00n0.00o0.00r0.00s0.00_VIS.spec": (5000.0, 4.0, -1.0, 0.4, 1.0),
    "5777g4.44z+0.00a+0.00t01-ref_6700-6720_xit1.0.spec": (5777.0, 4.44, 0.0, 0.0, 1.0),
    "btsettl08_t2900_g4.50_z-0.50_en0.20_APOGEE-RAW.txt": (2900.0, 4.5, -0.5, 0.2, None),
    "lte029.5-4.5-0.5a+0.2.BT-Settl.spec.7": (2950.0, 4.5, -0.5, 0.2, None),
    "lte05700-4.50-0.0.Alpha=+0.20.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits": (5700.0, 4.5, 0.0, 0.2, None),
    "lte05700-4.50+0.5.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits": (5700.0, 4.5, 0.5, None, None),
    "FERRE_FEH-0.50_AFE+0.25_VMIC+1.00_TEFF+5750_LOGG+4.50.fits": (5750.0, 4.5, -0.5, 0.25, 1.0),
    "BL20000g425v2.vis.7": (20000.0, 4.25, -0.301, None, 2.0),
    "at12_aaaaa_t05770g4.44.spec": (5770.0, 4.44, None, None, None),
}


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_read_from_names(name: str) -> None:
    found = labels_of_name(Path(name))
    wanted = dict(zip(("teff", "logg", "m_h", "alpha_m", "vmicro"), NAMES[name], strict=True))
    for label, value in wanted.items():
        assert found.get(label) == (None if value is None else pytest.approx(value, abs=1e-4)), label


def test_names_without_labels_want_a_pattern_or_a_table(tmp_path: Path) -> None:
    path = tmp_path / "run_5000_4.5.txt"
    with pytest.raises(InputError, match="holds no labels in a form that is known: give --labels"):
        labels_of_name(path)
    assert label_source("run_{teff}_{logg}.txt")(path) == {"teff": 5000.0, "logg": 4.5}
    with pytest.raises(InputError, match="does not follow --labels"):
        label_source("walk_{teff}.txt")(path)
    table = tmp_path / "labels.csv"
    table.write_text("file,teff,logg\nrun_5000_4.5.txt,5000,4.5\n")
    assert label_source(str(table))(path) == {"teff": 5000.0, "logg": 4.5}
    with pytest.raises(InputError, match=r"other\.txt is not listed"):
        label_source(str(table))(tmp_path / "other.txt")
    table.write_text("file,teff\na,hot\n")
    with pytest.raises(InputError, match="line 2"):
        label_source(str(table))


def test_labels_of_other_codes_have_our_names() -> None:
    named = {"Teff": "teff", "log(g)": "logg", "[Fe/H]": "m_h", "METALS": "m_h", "O Mg Si S Ca Ti": "alpha_m"}
    assert {other: canonical(other) for other in named} == named
    assert canonical("colour") is None


def test_flux_of_intensities_is_their_disc_integral() -> None:
    coefficients = np.array([[3.0, 0.2, 0.5, -0.1, 0.3]])
    mu = np.linspace(0.0, 1.0, 200001)
    powers = (0.5, 1.0, 1.5, 2.0)
    intensity = coefficients[0, 0] + sum(c * (mu**p - 1.0) for c, p in zip(coefficients[0, 1:], powers, strict=True))
    wanted = 2.0 * np.pi * np.trapezoid(intensity * mu, mu)
    assert disc_flux(coefficients, powers)[0] == pytest.approx(wanted, rel=1e-9)
    # A linear law has its own coefficient.
    linear = np.array([[2.0, 0.6 * 2.0]])
    assert linear_darkening(disc_flux(linear, (1.0,)), np.pi * linear[:, 0]) == pytest.approx(0.6)


def test_wavelengths_ascend_without_repeats() -> None:
    spectrum = ForeignSpectrum(np.array([3.0, 2.0, 2.0, 1.0]), np.array([30.0, 20.0, 21.0, 10.0]))
    sorted_ = ascending("x", spectrum)
    np.testing.assert_array_equal(sorted_.wavelength, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(sorted_.flux, [10.0, 20.0, 30.0])
    with pytest.raises(InputError, match="not finite"):
        ascending("x", ForeignSpectrum(np.array([1.0, 2.0]), np.array([1.0, np.nan])))
