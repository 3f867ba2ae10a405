"""The explorer's answers over real HTTP: the very numbers of the emulator and validator, and refusals that say why."""

import gzip
import re
import socket
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import unquote, urlencode

import numpy as np
import pytest
from astropy.io import fits
from synthetic import GAIA
from tiny_models import Answer, Server, served_app

from stars import ARCHIVE, SUN, pair_of, with_hull
from stellar_emulator.contract.medium import to_vacuum
from stellar_emulator.explorer.app import MAXIMUM_BYTES, PAGE, explorer_app
from stellar_emulator.explorer.lines import METALS, named_lines
from stellar_emulator.explorer.token import Tokened
from stellar_emulator.fitting.estimate import infer
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.observed.interpret import Stated, spectra_of
from stellar_emulator.observed.readers.formats import read_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pair = pair_of()
    with served_app(explorer_app(pair.emulator, pair.validator)) as server:
        yield server


def get(server: Server, path: str, fields: Any = SUN) -> Answer:
    return server.ask(b"", None, "GET", f"{path}?{urlencode(fields)}")


def post(server: Server, content: bytes, **fields: str) -> Answer:
    return server.ask(content, None, "POST", f"/observed?{urlencode(fields)}")


def csv_file(signal_to_noise: float = 100.0) -> bytes:
    """The Sun as another telescope might see it: noisy, on the model's range, with errors."""
    error = 1.0 / signal_to_noise
    flux = pair_of().emulator(**SUN) + np.random.default_rng(5).normal(0.0, error, GAIA.wavelength.count)
    rows = [f"{pixel},{value},{error}" for pixel, value in zip(GAIA.wavelength.pixels, flux, strict=True)]
    return "\n".join(["wavelength,flux,flux_error", *rows]).encode()


def test_a_spectrum_is_the_emulator_s_and_its_labels_the_validator_s(server: Server) -> None:
    pair = pair_of()
    answer = get(server, "/spectrum", dict(reversed(SUN.items())))
    assert answer.status == 200
    numbers = np.frombuffer(answer.body, "<f4")
    flux = pair.emulator(**SUN)
    found = np.clip(pair.validator.labels(flux[None]), GAIA.lower, GAIA.upper)
    np.testing.assert_array_equal(numbers, np.concatenate([flux, found[0], pair.validator.uncertainty(found)[0]]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"teff": "15000.1"}, "teff = 15000.1 K in row 0 lies outside 3600 to 15000 K: choose a value inside"),
        ({"vsini": "nan"}, "vsini = nan km/s in row 0 is not finite: give 0 to 300 km/s"),
        ({"logg": "low"}, "logg = 'low' is no number"),
        ({"t_eff": "1"}, "label t_eff is unknown: did you mean teff?"),
    ],
)
@pytest.mark.parametrize("path", ["/spectrum", "/spectrum.csv", "/spectrum.fits"])
def test_labels_out_of_the_contract_are_refused_with_its_message(
    path: str, changed: dict[str, str], said: str, server: Server
) -> None:
    answer = get(server, path, SUN | changed)
    assert answer.status == 400
    assert said in answer.content["message"]


def test_labels_are_given_each_once_and_all(server: Server) -> None:
    assert "label teff is given 2 times" in get(server, "/spectrum", [*SUN.items(), ("teff", 5000)]).content["message"]
    assert "label teff is missing" in get(server, "/spectrum", {}).content["message"]


def test_labels_beyond_the_hull_of_the_nodes_are_refused_or_drawn_with_a_warning() -> None:
    with served_app(with_hull("refuse")) as server:
        for path in ("/spectrum", "/spectrum.csv"):
            answer = get(server, path)
            assert answer.status == 400
            assert "label ranges beyond the hull of the grid's runs" in answer.content["message"]
            assert "row" not in answer.content["message"]
        told = server.ask(b"", None, "GET", "/model").content["labels"]
        first = {label["name"]: label["start"] for label in told}
        answer = get(server, "/spectrum", first)
        assert answer.status == 200
        assert "x-warning" not in answer.headers
    with served_app(with_hull("warn")) as server:
        assert get(server, "/spectrum.csv").status == 200
        answer = get(server, "/spectrum")
        assert answer.status == 200
        assert "label ranges beyond the hull" in unquote(answer.headers["x-warning"])


def test_downloads_are_the_files_that_generate_writes(server: Server) -> None:
    flux = pair_of().emulator(**SUN)
    header, *rows = get(server, "/spectrum.csv").body.decode().splitlines()
    assert header == "wavelength,flux"
    table = np.array([row.split(",") for row in rows], float)
    np.testing.assert_allclose(table, np.c_[GAIA.wavelength.pixels, flux], rtol=1e-6)
    with fits.open(BytesIO(get(server, "/spectrum.fits").body)) as hdus:
        np.testing.assert_array_equal(hdus[0].data, flux)
        assert {name: hdus[0].header[name.upper()] for name in SUN} == SUN
    answer = get(server, "/spectrum.png")
    assert answer.status == 400
    assert answer.content["message"] == "the suffix 'png' is not known: give one of csv, fits"


def test_an_uploaded_spectrum_has_its_labels_inferred_as_infer_does(server: Server, tmp_path: Path) -> None:
    answer = post(server, csv_file(), name="../../my star.csv", unit="Angstrom", medium="air")
    assert answer.status == 200, answer.body
    found = answer.content
    assert found["name"] == "_.._my_star.csv"
    (tmp_path / "star.csv").write_bytes(csv_file())
    (table,) = read_tables(tmp_path / "star.csv")
    (spectrum,) = spectra_of(table, GAIA.wavelength, Stated("Angstrom", "air"))
    assert isinstance(spectrum, ObservedSpectrum)
    expected = infer(spectrum, pair_of(), Treatment(None, None))
    for name, wanted in (("labels", expected.labels), ("errors", expected.uncertainty), ("flux", expected.flux)):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5)
    assert found["velocity"] == pytest.approx(expected.velocity)
    assert found["warnings"] == [*spectrum.notes, *expected.warnings, f"read: {spectrum.reading}"]
    assert abs(found["labels"][0] - SUN["teff"]) < 3.0 * found["errors"][0]


def test_what_the_page_states_of_a_file_is_heeded(server: Server) -> None:
    refused = post(server, csv_file(), name="star.csv")
    assert (
        "star.csv does not state whether its wavelengths are in air or in vacuum: state medium" in refused.body.decode()
    )
    bright = b"\n".join([b"wavelength,flux", *(b"%f,%f" % (x, 500.0 * y) for x, y in spectrum_of_the_sun())])
    refused = post(server, bright, name="star.csv", medium="air")
    assert "star.csv is not normalised" in refused.content["message"]
    assert post(server, bright, name="star.csv", medium="air", continuum="fit").status == 200


def spectrum_of_the_sun() -> Iterator[tuple[float, float]]:
    return zip(GAIA.wavelength.pixels, pair_of().emulator(**SUN), strict=True)


@pytest.mark.parametrize(
    ("content", "fields", "said"),
    [
        (b"rubbish", {"name": "star.fits"}, "star.fits can't be read as FITS: "),
        (b"", {"name": "star.csv"}, "star.csv is empty"),
        (b"\1\2\3", {"name": "star"}, "star: the suffix '' is not known: give one of .fits"),
        (b"a,b\n1,2\n", {"name": "star.csv"}, "star.csv"),
        (b"", {"name": "star.csv", "medium": "water"}, "field medium: Input should be 'air' or 'vacuum'"),
        (b"", {"name": "star.csv", "snr": "-1"}, "field snr: Input should be greater than 0"),
        (b"", {"name": "star.csv", "colour": "red"}, "field colour: Extra inputs are not permitted"),
        (b"", {}, "field name: Field required"),
        (b"\0" * (MAXIMUM_BYTES + 1), {"name": "star.fits"}, "star.fits exceeds 64 MiB: give it to the verb infer"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    content: bytes, fields: dict[str, str], said: str, server: Server
) -> None:
    answer = post(server, content, **fields)
    assert answer.status == 400
    message = answer.content["message"]
    assert message.startswith(said)
    assert "\n" not in message
    assert gettempdir() not in message


def test_an_upload_that_is_broken_off_ends_without_a_word(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    begun = b"POST /observed?name=a.csv HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nwavelength"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(begun)
    time.sleep(0.2)
    assert get(server, "/spectrum").status == 200
    assert not caplog.records


def test_nobody_is_answered_who_does_not_know_the_token() -> None:
    pair = pair_of()
    app = Tokened(explorer_app(pair.emulator, pair.validator))
    with served_app(app) as server:
        for path in ("model", "", "server.js", f"spectrum?{urlencode(SUN)}"):
            assert server.ask(b"", None, "GET", f"/{app.token}/{path}").status == 200
            for other in ("", "/", f"/{app.token[:-1]}/", f"/{app.token.swapcase()}/", f"//{app.token}/", "/%ff/"):
                refused = server.ask(b"", None, "GET", f"{other}{path}" or "/")
                assert refused.status == 403
                assert "lacks its token" in refused.content["message"]
        assert server.ask(b"", None, "GET", f"/{app.token}").status == 307
        assert post(server, csv_file(), name="star.csv", medium="air").status == 403
    assert app.token != Tokened(app).token


@pytest.mark.parametrize(
    "header", [("Host", "evil.example"), ("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]
)
def test_pages_of_other_sites_are_not_answered(header: tuple[str, str], server: Server) -> None:
    lines = [f"{name}: {value}" for name, value in ({"Host": "localhost"} | dict([header])).items()]
    lines += ["Content-Type: text/plain", "Content-Length: 3"]
    head = f"POST /observed?name=a.csv HTTP/1.1\r\n{chr(10).join(f'{line}{chr(13)}' for line in lines)}\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + b"a,b")
        assert connection.recv(12) == b"HTTP/1.1 403"


def test_a_file_that_unpacks_into_too_much_is_refused(server: Server) -> None:
    card = fits.Header({"SIMPLE": True, "BITPIX": 8, "NAXIS": 2, "NAXIS1": 10**6, "NAXIS2": 400})
    content = gzip.compress(card.tostring().encode() + b"\0" * (400 * 10**6), 1)
    answer = post(server, content, name="star.fits.gz", medium="air")
    assert answer.status == 400
    message = answer.content["message"]
    assert message.startswith("star.fits.gz can't be read: it takes more than 256 MiB of memory when it is unpacked")
    assert post(server, gzip.compress(csv_file()), name="star.csv.gz", medium="air").status == 200


def test_only_the_first_spectrum_of_a_file_is_taken_and_said_so(server: Server) -> None:
    flux = pair_of().emulator(teff=[5777.0, 9000.0], **{name: SUN[name] for name in SUN if name != "teff"})
    rows = "".join(
        f"{name},{pixel},{value}\n"
        for name, spectrum in zip("ab", flux, strict=True)
        for pixel, value in zip(GAIA.wavelength.pixels, spectrum, strict=True)
    )
    answer = post(server, f"source_id,wavelength,flux\n{rows}".encode(), name="two.csv", medium="air")
    assert answer.status == 200, answer.body
    assert answer.content["name"] == "a"
    assert answer.content["warnings"][0].startswith("the file holds 2 spectra, this is the first")


def test_the_page_is_there_and_names_nothing_outside(server: Server) -> None:
    for path in sorted(PAGE.rglob("*.*")):
        answer = server.ask(b"", None, "GET", f"/{path.relative_to(PAGE)}")
        assert answer.status == 200
        assert answer.body == path.read_bytes()
    own = [path for path in PAGE.iterdir() if path.is_file()]
    assert len(own) >= 5
    assert not re.findall("https?://|@import", "".join(path.read_text() for path in own))


def test_models_and_contract_are_described(server: Server) -> None:
    told = server.ask(b"", None, "GET", "/model").content
    assert [label["name"] for label in told["labels"]] == GAIA.label_names
    assert [(label["lower"], label["upper"]) for label in told["labels"]] == [
        (label.lower, label.upper) for label in GAIA.labels
    ]
    assert all(label["lower"] <= label["start"] <= label["upper"] for label in told["labels"])
    assert {label["name"]: label["step"] for label in told["labels"]}["teff"] == 10
    assert told["versions"]["emulator"] == pair_of().emulator.version


# Wavelengths in air of NIST's Atomic Spectra Database, fine structure averaged.
PASCHEN = {"P12": 8750.46, "P13": 8665.02, "P14": 8598.39, "P15": 8545.38, "P16": 8502.48, "P17": 8467.25}


def test_lines_are_named_where_they_are_in_air_and_in_vacuum() -> None:
    air = {(line.name, line.row): line.wavelength for line in named_lines(GAIA) if line.row < 2}
    for name, wavelength in PASCHEN.items():
        assert abs(air[name, 1] - wavelength) < 0.1
    assert {name: air[name, 0] for name in GAIA.regions.line_cores} == GAIA.regions.line_cores
    metals = [(line.name, line.wavelength) for line in named_lines(GAIA) if line.row == 2]
    assert metals == sorted(METALS, key=lambda line: line[1])
    axis = ARCHIVE.wavelength
    vacuum = [line for line in named_lines(ARCHIVE) if line.row == 2]
    inside = [(name, to_vacuum(air)) for name, air in METALS if axis.start <= to_vacuum(air) <= axis.stop]
    assert [line.name for line in vacuum] == [name for name, _ in inside]
    np.testing.assert_allclose([line.wavelength for line in vacuum], [there for _, there in inside], atol=1e-6)
    assert 0 < len(vacuum) < len(metals)
