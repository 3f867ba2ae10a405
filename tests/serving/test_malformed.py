"""Generated malformed requests: whatever comes, the answer is a 4xx that says why, never a 5xx or a silent 200."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import TINY
from tiny_models import Server, served, tiny_emulator, tiny_validator

NAMES = TINY.label_names
PIXELS = TINY.wavelength.count

# `derandomize`: every run draws the same requests, so a failure is repeated by running the test again.
MANY = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tiny_emulator(tmp_path_factory.mktemp("model") / "emulator")) as server:
        yield server


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tiny_validator(tmp_path_factory.mktemp("model") / "validator")) as server:
        yield server


def good_label(name: str) -> st.SearchStrategy[float]:
    label = TINY.labels[NAMES.index(name)]
    return st.floats(label.lower, label.upper)


STARS = st.lists(st.fixed_dictionaries({name: good_label(name) for name in NAMES}), min_size=1, max_size=3)
OTHER_TEXT = st.text(max_size=8).filter(lambda text: text not in NAMES)
BAD_VALUES = st.one_of(
    st.floats().filter(lambda value: not -1e4 <= value <= 1e4),  # outside every label's bounds, NaN and infinities too
    st.integers().filter(lambda value: abs(value) > 10**4),
    st.text(max_size=8),
    st.just("5777.0"),
    st.booleans(),
    st.none(),
    st.lists(st.floats(0, 1), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def in_form(form: str, stars: list[dict[str, Any]]) -> Any:
    """A table whose rows have the same fields, as MLflow's form ``form``."""
    names = list(stars[0])
    if form == "dataframe_split":
        return {"columns": names, "data": [[star[name] for name in names] for star in stars]}
    if form == "inputs":
        return {name: [star[name] for star in stars] for name in names}
    return stars


@st.composite
def wrong_tables(draw: st.DrawFn) -> dict[str, Any]:
    """A good request but for one label, one value or one param."""
    stars = draw(STARS)
    fault = draw(st.sampled_from(["value", "missing", "extra", "renamed", "param"]))
    name = draw(st.sampled_from(NAMES))
    params: dict[str, Any] = {}
    if fault == "value":
        stars[-1][name] = draw(BAD_VALUES)
    elif fault == "missing":
        stars = [{key: value for key, value in star.items() if key != name} for star in stars]
    elif fault == "extra":
        other = draw(OTHER_TEXT)
        stars = [{**star, other: 1.0} for star in stars]
    elif fault == "renamed":
        other = draw(OTHER_TEXT)
        stars = [{other if key == name else key: value for key, value in star.items()} for star in stars]
    else:
        params = draw(wrong_params())
    form = draw(st.sampled_from(FORMS))
    return {form: in_form(form, stars)} | ({"params": params} if params else {})


@st.composite
def wrong_params(draw: st.DrawFn) -> dict[str, Any]:
    known = ("encoding", "wavelength_min", "wavelength_max")
    name = draw(st.sampled_from(known) | st.text(max_size=16).filter(lambda text: text not in known))
    outside = st.floats().filter(lambda value: not 4999 <= value <= 5156)
    value = draw(outside | st.text(max_size=6).filter(lambda text: text not in ("json", "base64")) | st.none())
    return {name: value}


@st.composite
def wrong_bodies(draw: st.DrawFn) -> Any:
    """JSON, but not of one of the forms: a wrong field, a form's content replaced, or two forms at once."""
    stars = draw(STARS)
    form = draw(st.sampled_from(FORMS))
    fault = draw(st.sampled_from(["anything", "field", "content", "two", "params", "empty"]))
    if fault == "anything":
        return draw(JSON_VALUES)
    good = {form: in_form(form, stars)}
    if fault == "field":
        return {**good, draw(OTHER_TEXT.filter(lambda text: text not in (*FORMS, "params"))): draw(JSON_VALUES)}
    if fault == "content":
        return {form: draw(JSON_VALUES)}
    if fault == "two":
        other = draw(st.sampled_from([name for name in FORMS if name != form]))
        return {**good, other: in_form(other, stars)}
    if fault == "params":
        return {**good, "params": draw(JSON_VALUES.filter(lambda value: value != {}))}
    return {form: draw(st.sampled_from([[], {}, {"columns": NAMES, "data": []}, {name: [] for name in NAMES}]))}


@MANY
@given(request=wrong_tables())
def test_a_table_with_one_fault_is_refused(request: dict[str, Any], server: Server) -> None:
    answer = server.ask(request)
    assert answer.status == 400
    assert answer.message


@MANY
@given(body=wrong_bodies())
def test_json_of_another_form_is_refused(body: object, server: Server) -> None:
    assert server.ask(body).message


@MANY
@given(body=st.binary(max_size=200), content_type=st.sampled_from(["application/json", "text/csv", "text/plain"]))
def test_arbitrary_bytes_are_refused(body: bytes, content_type: str, server: Server) -> None:
    assert server.ask(body, content_type).message


@MANY
@given(stars=STARS, cut=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["application/json", "text/csv"]))
def test_a_body_that_was_cut_or_mixed_up_is_refused(
    stars: list[dict[str, float]], cut: float, kind: str, server: Server
) -> None:
    body = json.dumps({"dataframe_records": stars}).encode()
    if kind == "application/json":
        body = body[: int(cut * len(body))]
    assert server.ask(body, kind).message


@MANY
@given(data=st.data())
def test_spectra_with_one_fault_are_refused(data: st.DataObject, judge: Server) -> None:
    fault = data.draw(st.sampled_from(["pixel", "count", "params", "content"]))
    rows: list[Any] = [[1.0] * PIXELS, [0.5] * PIXELS]
    request: dict[str, Any] = {data.draw(st.sampled_from(["inputs", "instances"])): rows}
    if fault == "pixel":
        rows[1][data.draw(st.integers(0, PIXELS - 1))] = data.draw(BAD_VALUES)
    elif fault == "count":
        rows[1] = [1.0] * data.draw(st.integers(0, 2 * PIXELS).filter(lambda count: count != PIXELS))
    elif fault == "params":
        request["params"] = {data.draw(st.text(max_size=6)): data.draw(BAD_VALUES)}
    else:
        request = {data.draw(st.sampled_from(FORMS)): data.draw(JSON_VALUES)}
    assert judge.ask(request).status == 400


@settings(MANY, max_examples=50)
@given(stars=STARS, form=st.sampled_from(FORMS))
def test_good_tables_are_answered(stars: list[dict[str, float]], form: str, server: Server) -> None:
    """The control: the same tables without a fault."""
    answer = server.ask({form: in_form(form, stars)})
    assert answer.status == 200, answer.body
    assert np.shape(answer.content["predictions"]) == (len(stars), PIXELS)
