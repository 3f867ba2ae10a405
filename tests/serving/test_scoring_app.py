"""Real requests over HTTP: good ones in every form answer right, bad ones are refused and say why."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from synthetic import TINY
from tiny_models import ROW, STAR, Server, served, tiny_emulator, tiny_validator

from stellar_emulator import Emulator, Validator
from stellar_emulator.serving import request_body

CSV = "text/csv"
PIXELS = TINY.wavelength.pixels


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return tiny_emulator(tmp_path_factory.mktemp("model") / "emulator")


@pytest.fixture(scope="module")
def server(emulator: Emulator) -> Iterator[Server]:
    with served(emulator) as server:
        yield server


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Validator:
    return tiny_validator(tmp_path_factory.mktemp("model") / "validator")


@pytest.fixture(scope="module")
def judge(validator: Validator) -> Iterator[Server]:
    with served(validator) as server:
        yield server


def split(*rows: dict[str, Any], **params: Any) -> dict[str, Any]:
    names = list(rows[0])
    table = {"columns": names, "data": [[row[name] for name in names] for row in rows]}
    return {"dataframe_split": table, "params": params}


def test_every_form_gives_the_same_spectra(emulator: Emulator, server: Server) -> None:
    other = {"vsini": 100, "teff": 4000.0, "m_h": -1}  # bounds, whole numbers, another order
    expected = emulator(np.vstack([ROW, [other[name] for name in TINY.label_names]]))
    ordered = {name: [STAR[name], other[name]] for name in reversed(TINY.label_names)}
    requests = [
        split(STAR, other),
        {"dataframe_split": {**split(STAR, other)["dataframe_split"], "index": [7, 8]}},
        {"dataframe_records": [STAR, other]},
        {"instances": [STAR, other]},
        {"inputs": ordered},
    ]
    for request in requests:
        answer = server.ask(request)
        assert answer.status == 200, answer.body
        np.testing.assert_array_equal(np.array(answer.content["predictions"], dtype=np.float32), expected)
    text = b"vsini,teff,m_h\r\n2.5,5777,1e-1\r\n\r\n+100,4.0e3,-1\r\n"
    for content_type in (CSV, 'Text/CSV; charset="UTF-8"'):
        answer = server.ask(text, content_type)
        np.testing.assert_array_equal(np.array(answer.content["predictions"], dtype=np.float32), expected)


def test_base64_is_the_same_flux(emulator: Emulator, server: Server) -> None:
    predictions = server.ask(split(STAR, STAR, encoding="base64")).content["predictions"]
    assert predictions.keys() == {"dtype", "shape", "data"}
    flux = np.frombuffer(base64.b64decode(predictions["data"]), predictions["dtype"]).reshape(predictions["shape"])
    np.testing.assert_array_equal(flux, emulator(np.vstack([ROW, ROW])))


@pytest.mark.parametrize("encoding", ["json", "base64"])
@pytest.mark.parametrize(
    ("params", "inside"),
    [
        ({"wavelength_min": 5100.0}, PIXELS >= 5100),
        ({"wavelength_max": 5000}, PIXELS <= 5000),
        ({"wavelength_min": 5050.05, "wavelength_max": 5051}, (PIXELS > 5050.05) & (PIXELS <= 5051)),
        ({"wavelength_max": 5000 + 776 * 0.2 + 1e-9}, PIXELS > 0),
    ],
)
def test_an_answer_is_cut_to_the_pixels_inside(
    params: dict[str, float], inside: np.ndarray, encoding: str, emulator: Emulator, server: Server
) -> None:
    predictions = server.ask(split(STAR, **params, encoding=encoding)).content["predictions"]
    if encoding == "base64":
        assert predictions["shape"] == [1, np.count_nonzero(inside)]
        predictions = np.frombuffer(base64.b64decode(predictions["data"]), "<f4")[None]
    np.testing.assert_array_equal(np.array(predictions, dtype=np.float32), emulator(ROW)[:, inside])


BOUNDS = "give 4000 to 8000 K"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"teff": 9000}, "teff = 9000 K in row 1 lies outside 4000 to 8000 K: choose a value inside"),
        ({"teff": float("nan")}, f"teff = nan K in row 1 is not finite: {BOUNDS}"),
        ({"teff": -float("inf")}, f"teff = -inf K in row 1 is not finite: {BOUNDS}"),
        ({"teff": "5777"}, f"teff = '5777' in row 1 is no number: {BOUNDS}"),
        ({"teff": True}, f"teff = True in row 1 is no number: {BOUNDS}"),
        ({"teff": None}, f"teff = None in row 1 is no number: {BOUNDS}"),
        ({"teff": [5777]}, f"teff = [5777] in row 1 is no number: {BOUNDS}"),
        ({"teff": 10**400}, "in row 1 is no number"),
        ({"teff": "x" * 10**5}, "teff = 'xxxxxxxxxxxx...xxxxxxxxxxxxx' in row 1"),
    ],
)
def test_a_bad_value_is_named_with_row_and_bounds(changed: dict[str, Any], said: str, server: Server) -> None:
    star = STAR | changed
    for request in (
        split(STAR, star),
        {"dataframe_records": [STAR, star]},
        {"instances": [STAR, star]},
        {"inputs": {name: [STAR[name], star[name]] for name in STAR}},
    ):
        answer = server.ask(request)
        assert answer.status == 400
        assert said in answer.message


@pytest.mark.parametrize(
    ("star", "said"),
    [
        ({"teff": 5777, "m_h": 0}, "label vsini is missing: give it, 0 to 100 km/s"),
        ({**STAR, "logg": 4.4}, "label logg is unknown: Contract tiny has teff, m_h, vsini"),
        ({"t_eff": 5777, "m_h": 0, "vsini": 1}, "label t_eff is unknown: did you mean teff?"),
        ({"x" * 10**5: 1, **STAR}, f"label {'x' * 40}... is unknown"),
        ({}, "label teff is missing"),
    ],
)
def test_a_wrong_label_is_named(star: dict[str, Any], said: str, server: Server) -> None:
    forms = [split(star), {"dataframe_records": [STAR, star]}, {"instances": [star]}]
    forms += [{"inputs": {name: [value] for name, value in star.items()}}] if star else []
    for request in forms:
        answer = server.ask(request)
        assert answer.status == 400
        assert said in answer.message
        assert len(answer.message) < 300
    assert "row 1: " in server.ask({"dataframe_records": [STAR, star]}).message


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"encodin": "json"}, "param encodin is unknown: did you mean encoding?"),
        ({"noise": 0.1}, "param noise is unknown: This model has encoding, wavelength_min, wavelength_max"),
        ({"encoding": "BASE64"}, "param encoding = 'BASE64' is unknown: give json or base64"),
        ({"encoding": ["json"]}, "param encoding = ['json'] is unknown"),
        ({"wavelength_min": "5100"}, "param wavelength_min = '5100' is no number: give 5000 to 5155.2 Angstrom"),
        ({"wavelength_max": True}, "param wavelength_max = True is no number"),
        ({"wavelength_min": 4999}, "param wavelength_min = 4999 Angstrom lies outside the spectrum: give 5000"),
        ({"wavelength_max": float("nan")}, "param wavelength_max = nan Angstrom lies outside"),
        ({"wavelength_min": 5100, "wavelength_max": 5050}, "no pixel lies between wavelength_min = 5100 and"),
        ({"wavelength_min": 5000.05, "wavelength_max": 5000.15}, "no pixel lies between"),
    ],
)
def test_a_bad_param_is_named(params: dict[str, Any], said: str, server: Server) -> None:
    answer = server.ask(split(STAR, **params))
    assert answer.status == 400
    assert said in answer.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no valid JSON"),
        (b"\xff\xfe{}", "no UTF-8 text (byte 0)"),
        (b'{"instances": [{"teff": 5777', "no valid JSON"),
        (b"[" * 10**5, "nested far too deeply"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "no valid JSON"),
        (b'{"instances": [{"teff": 1, "teff": 5777, "m_h": 0, "vsini": 1}]}', "field teff is given twice"),
        ([STAR], "the body is a JSON list: send an object with one of dataframe_split"),
        ({}, "the body has the field(s) none"),
        (STAR, "the body has the field(s) teff, m_h, vsini"),
        ({"instances": [STAR], "inputs": {}}, "the body has the field(s) instances, inputs"),
        ({"instances": [STAR], "signature_name": "x"}, "instances, signature_name"),
        ({"instances": [STAR], "params": None}, "params is a JSON null"),
        ({"instances": [STAR], "params": ["json"]}, "params is a JSON list"),
        ({"instances": STAR}, "instances is a JSON object: send a list"),
        ({"instances": [[5777, 0, 1]]}, "instances[0] is a JSON list: send one object a spectrum"),
        ({"inputs": [STAR]}, "inputs is a JSON list"),
        ({"inputs": STAR}, "inputs.teff is a JSON number: send a list"),
        ({"inputs": {"teff": [5777], "m_h": [0, 0], "vsini": [1]}}, "lists of different lengths"),
        ({"dataframe_split": {"columns": list(STAR)}}, "dataframe_split must be an object of columns"),
        ({"dataframe_split": {"columns": "teff", "data": [[1]]}}, "dataframe_split.columns is a JSON string"),
        ({"dataframe_split": {"columns": [1, 2, 3], "data": [[1, 2, 3]]}}, "dataframe_split.columns[0] is a JSON"),
        ({"dataframe_split": {"columns": list(STAR), "data": [[5777, 0]]}}, "row 0 has 2 values, not 3"),
        ({"dataframe_split": {"columns": [*STAR, "teff"], "data": [[5777, 0, 1, 2]]}}, "teff is given 2 times"),
        ({"dataframe_split": {"columns": list(STAR), "data": []}}, "the table has no rows"),
        ({"instances": []}, "the table has no rows"),
        ({"inputs": {"teff": [], "m_h": [], "vsini": []}}, "the table has no rows"),
        ({"inputs": {}}, "the table has no rows"),
    ],
)
def test_a_body_of_another_form_is_refused(body: bytes | object, said: str, server: Server) -> None:
    answer = server.ask(body)
    assert answer.status == 400
    assert said in answer.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no CSV table with a header"),
        (b"\r\n\r\n", "no CSV table with a header"),
        (b"teff,m_h,vsini\n", "the table has no rows"),
        (b"teff,m_h,vsini\n5777,0\n", "row 0 has 2 values, not 3"),
        (b"teff,m_h,vsini\n5777,0,\n", "vsini = '' in row 0 is no number"),
        (b"teff,m_h,vsini\n5_777,0,1\n", "teff = '5_777' in row 0 is no number"),
        (b"teff,m_h,vsini\nnan,0,1\n", "teff = 'nan' in row 0 is no number"),
        (b"teff,m_h,vsini\n1e999,0,1\n", "teff = inf K in row 0 is not finite"),
        (b"teff,m_h\n5777,0\n", "label vsini is missing"),
        (b"teff,m_h,vsini,teff\n5777,0,1,1\n", "teff is given 2 times"),
        (b'teff,m_h,vsini\n"5777,0,1\n', "no CSV table with a header"),
        (
            "teff,m_h,vsini\n\u0665\u0667\u0667\u0667,0,1\n".encode(),
            "in row 0 is no number",
        ),  # digits that float() would read
    ],
)
def test_csv_is_as_strict(body: bytes, said: str, server: Server) -> None:
    answer = server.ask(body, CSV)
    assert answer.status == 400
    assert said in answer.message


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/vnd.apache.parquet", "application/json; charset=utf-16", "text/csv; a=b"],
)
def test_another_content_type_is_refused(content_type: str | None, server: Server) -> None:
    answer = server.ask(split(STAR), content_type)
    assert answer.status == 415
    assert "send" in answer.message


def test_too_much_is_refused_at_once(server: Server) -> None:
    rows = split(*[STAR] * (request_body.MAXIMUM_ROWS + 1))
    answer = server.ask(rows)
    assert answer.status == 413
    assert "send up to 2048 at a time" in answer.message
    answer = server.ask(b" " * (request_body.MAXIMUM_BYTES + 1))
    assert answer.status == 413
    assert "exceeds 64 MiB" in answer.message


def test_other_routes_and_methods_are_those_of_mlflow(server: Server) -> None:
    for path in ("/ping", "/health", "/version"):
        assert server.ask(b"", None, "GET", path).status == 200
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert server.ask(split(STAR), method=method).status == 405
    assert server.ask(split(STAR), path="/invocation").status == 404


def flux(*rows: float) -> list[list[float]]:
    return [[value] * TINY.wavelength.count for value in rows]


def test_a_validator_answers_with_named_labels(validator: Validator, judge: Server) -> None:
    expected = validator(np.array(flux(0.5, 1.0), dtype=np.float32))
    for form in ("inputs", "instances"):
        answer = judge.ask({form: flux(0.5, 1.0)})
        assert answer.status == 200
        assert [list(row) for row in answer.content["predictions"]] == [TINY.label_names] * 2
        found = [list(row.values()) for row in answer.content["predictions"]]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    noisy = flux(1.3)
    assert "lies outside 0 to 1.1" in judge.ask({"inputs": noisy}).message
    assert judge.ask({"inputs": noisy, "params": {"noise": 0.05}}).status == 200


def with_pixel(value: object) -> list[list[Any]]:
    rows: list[list[Any]] = flux(1.0, 1.0)
    rows[1][5] = value
    return rows


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"inputs": [[1.0] * 776]}, "flux has 776 pixels, contract tiny wants 777: resample it to 5000 to 5155.2"),
        ({"inputs": [[1.0] * 777, [1.0] * 776]}, "row 1 has 776 values, not 777"),
        ({"inputs": [[]]}, "flux has 0 pixels"),
        ({"inputs": with_pixel(float("nan"))}, "flux = nan in row 1, pixel 5 (5001 Angstrom) is not finite"),
        ({"inputs": with_pixel(1e39)}, "row 1, pixel 5 (5001 Angstrom) is not finite"),
        ({"inputs": with_pixel(2)}, "flux = 2 in row 1, pixel 5 (5001 Angstrom) lies outside 0 to 1.1: normalise"),
        ({"inputs": with_pixel("1.0")}, "flux = '1.0' in row 1, pixel 5 is no number"),
        ({"inputs": with_pixel(True)}, "flux = True in row 1, pixel 5 is no number"),
        ({"inputs": with_pixel(None)}, "flux = None in row 1, pixel 5 is no number"),
        ({"inputs": with_pixel([1.0])}, "flux = [1.0] in row 1, pixel 5 is no number"),
        ({"inputs": with_pixel(10**400)}, "in row 1, pixel 5 is no number"),
        ({"inputs": []}, "the table has no rows"),
        ({"inputs": [1.0] * 777}, "inputs[0] is a JSON number: send one list of flux values a spectrum"),
        ({"inputs": {"flux": flux(1.0)}}, "inputs is a JSON object"),
        (split(STAR), "the body has the field(s) dataframe_split: send one of inputs, instances"),
        ({"inputs": flux(1.0), "params": {"nois": 0.1}}, "param nois is unknown: did you mean noise?"),
        ({"inputs": flux(1.0), "params": {"noise": "0.1"}}, "param noise = '0.1' is no number"),
        ({"inputs": flux(1.0), "params": {"noise": -0.1}}, "noise = -0.1 is no standard deviation"),
        (
            {"inputs": flux(1.0), "params": {"noise": 1e300}},
            "noise = 1e+300 is no standard deviation of a flux",
        ),
    ],
)
def test_a_bad_spectrum_is_named(body: object, said: str, judge: Server) -> None:
    answer = judge.ask(body)
    assert answer.status == 400
    assert said in answer.message
    assert judge.ask(b"flux\n1.0\n", CSV).status == 415


def test_a_spectrum_is_rounded_to_nothing(server: Server, emulator: Emulator) -> None:
    """JSON carries every bit of single precision: what it gives is what base64 gives."""
    text = server.ask(split(STAR)).body
    values = np.array(json.loads(text)["predictions"])
    np.testing.assert_array_equal(values, emulator(ROW).astype(np.float64))
