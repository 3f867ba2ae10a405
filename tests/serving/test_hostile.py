"""Hostile, slow and stuck clients on real connections: none gets a spectrum or breaks the server for others."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from random import Random

import numpy as np
import pytest
from benchmarks.hostile import connection, large_body, status_of
from benchmarks.hostile_requests import KINDS, good, good_body, request
from synthetic import TINY
from tiny_models import Server, served, tiny_emulator, tiny_validator

from stellar_emulator import Validator
from stellar_emulator.errors import InputError
from stellar_emulator.serving import body, connections, request_body
from stellar_emulator.serving.body import Room
from stellar_emulator.serving.connections import TimedProtocol
from stellar_emulator.serving.hosts import Hosts
from stellar_emulator.serving.refusals import RequestError
from stellar_emulator.serving.request_body import read_flux, read_large_flux


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    """The server's patience is a fraction of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "PATIENCE_SECONDS", 0.5)
        patch.setattr(connections, "_TICK", 0.1)
        for name in ("HEAD_SECONDS", "DISCARD_SECONDS", "TAKE_SECONDS", "STUCK_SECONDS"):
            patch.setattr(connections, name, 0.7)
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tiny_emulator(tmp_path_factory.mktemp("model") / "emulator")) as server:
        yield server


def answered(server: Server) -> bool:
    return server.ask(json.loads(good_body(TINY, Random(1)))).status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_request_gets_no_spectrum_and_breaks_nothing(
    kind: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with connection(server.port) as stream:
        with suppress(OSError):
            stream.sendall(KINDS[kind](TINY, Random(0)))
        status = status_of(stream)
    assert status == "closed" or status[0] == "4" or status == "503"
    assert answered(server)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Origin: http://localhost:80",),
        ("Origin: http://LOCALHOST",),
        ("Sec-Fetch-Site: same-origin",),
        ("Expect: 100-continue",),
        ("Content-Encoding: identity",),
    ],
)
def test_the_same_request_without_a_fault_is_answered(version: str, lines: tuple[str, ...], server: Server) -> None:
    with connection(server.port) as stream:
        stream.sendall(request(good_body(TINY, Random(0)), *lines, host="localhost", version=version))
        received = b""
        while b" 200 OK" not in received and (part := stream.recv(1000)):
            received += part
    assert b" 200 OK" in received


def test_chunks_and_pipelined_requests_are_answered_each(server: Server) -> None:
    content = good_body(TINY, Random(0))
    parts = b"".join(b"1\r\n%b\r\n" % content[place : place + 1] for place in range(len(content)))
    chunked = request(parts + b"0\r\n\r\n", "Transfer-Encoding: chunked", length=-1)
    last = request(content, "Connection: close")
    with connection(server.port) as stream:
        stream.sendall(chunked + good(TINY, Random(0)) + last)
        received = b"".join(iter(lambda: stream.recv(2**16), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3


def slow(port: int, begin: bytes, piece: bytes, done: threading.Event, ended: list[bool]) -> None:
    """Send a beginning, then a piece now and then; note that the server has had enough."""
    with connection(port) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError):
            stream.sendall(begin)
            while not done.wait(0.1):
                stream.sendall(piece)
                stream.settimeout(0.01)
                with suppress(TimeoutError):
                    if not stream.recv(1):
                        break
        ended.append(not done.is_set())


SLOW_WAYS = {
    "in the head": (good(TINY, Random(0))[:30], b"x"),
    "in the body": (request(good_body(TINY, Random(0)), length=10**5), b" "),
    "in chunks": (request(b"", "Transfer-Encoding: chunked", length=-1), b"1\r\n \r\n"),
    "after a refusal": (request(b"", host="evil.example", length=10**9), b" "),
    "in saying anything": (b"", b""),
}


@pytest.mark.parametrize("way", SLOW_WAYS)
def test_slow_clients_hold_up_nobody_and_are_ended(way: str, server: Server) -> None:
    done = threading.Event()
    ended: list[bool] = []
    clients = [threading.Thread(target=slow, args=(server.port, *SLOW_WAYS[way], done, ended)) for _ in range(6)]
    for client in clients:
        client.start()
    assert all(answered(server) for _ in range(5))
    for client in clients:
        client.join(20)
    done.set()
    assert ended == [True] * 6


def test_clients_that_take_no_answer_are_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[bool] = []
    lost = TimedProtocol.connection_lost

    def noted(protocol: TimedProtocol, error: Exception | None) -> None:
        given_up.append(protocol.flow.write_paused)
        lost(protocol, error)

    monkeypatch.setattr(TimedProtocol, "connection_lost", noted)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(connection(server.port)).sendall(request(large_body(TINY, "json")))
        assert all(answered(server) for _ in range(5))
        deadline = time.monotonic() + 60.0
        while sum(given_up) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert sum(given_up) == 3


def test_many_half_open_connections_leave_room(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 50)
    with ExitStack() as held:
        streams = [held.enter_context(connection(server.port)) for _ in range(120)]
        assert all(answered(server) for _ in range(5))
        streams[0].settimeout(5.0)
        assert streams[0].recv(1) == b""


def test_the_server_ends_beside_slow_clients(tmp_path_factory: pytest.TempPathFactory) -> None:
    done = threading.Event()
    ended: list[bool] = []
    with served(tiny_emulator(tmp_path_factory.mktemp("model") / "emulator")) as server:
        clients = [threading.Thread(target=slow, args=(server.port, *way, done, ended)) for way in SLOW_WAYS.values()]
        for client in clients:
            client.start()
        assert answered(server)
    # Its thread has ended here; the clients were told nothing.
    for client in clients:
        client.join(20)
    done.set()
    assert ended == [True] * len(clients)


def test_large_requests_are_refused_for_want_of_room_and_say_when_to_return() -> None:
    room = Room(free=10**6)
    with room.held() as first, room.held() as second:
        first.grow_to(900_000)
        second.grow_to(200_000)  # a small one
        with pytest.raises(RequestError, match="busy") as refused:
            second.grow_to(400_000)
        assert refused.value.status == 503
    with room.held() as third:
        third.grow_to(10**6)
    assert room.free == 10**6


def test_a_long_answer_is_the_short_ones_together(server: Server) -> None:
    labels = [[random.uniform(one.lower, one.upper) for one in TINY.labels] for random in map(Random, range(40))]
    table = {"columns": TINY.label_names, "data": labels}
    together = server.ask({"dataframe_split": table}).content["predictions"]
    base64 = [server.ask({"dataframe_split": table, "params": {"encoding": "base64"}}).content["predictions"]["shape"]]
    alone = [server.ask({"dataframe_split": {**table, "data": [row]}}).content["predictions"][0] for row in labels]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert base64 == [[40, TINY.wavelength.count]]


LOCAL, OPEN = Hosts.of("127.0.0.1"), Hosts.of("0.0.0.0", ["Spectra.Example."])


@pytest.mark.parametrize(
    ("hosts", "host", "others", "allowed"),
    [
        (LOCAL, b"localhost:8000", {}, True),
        (LOCAL, b"127.0.0.1", {}, True),
        (LOCAL, b"[::1]:9", {}, True),
        (LOCAL, b"LOCALHOST.", {}, True),
        (LOCAL, b"10.0.0.1", {}, False),
        (LOCAL, b"[localhost]", {}, False),
        (LOCAL, b"localhost:99999999", {}, False),
        (LOCAL, b"localhost:80:80", {}, False),
        (LOCAL, b"a.localhost", {}, False),
        (LOCAL, b"spectra.example", {}, False),
        (LOCAL, b"2130706433", {}, False),
        (LOCAL, "\u217cocalhost".encode(), {}, False),
        (OPEN, b"spectra.example:8000", {}, True),
        (OPEN, b"10.0.0.1:8000", {}, True),
        (OPEN, b"[2001:db8::1]", {}, True),
        (OPEN, b"evil.example", {}, False),
        (OPEN, b"spectra.example", {b"origin": b"https://spectra.example"}, True),
        (OPEN, b"spectra.example:443", {b"origin": b"https://spectra.example"}, True),
        (OPEN, b"spectra.example:8000", {b"origin": b"http://spectra.example:8000"}, True),
        (OPEN, b"spectra.example:8000", {b"origin": b"http://spectra.example"}, False),
        (OPEN, b"spectra.example", {b"origin": b"https://spectra.example.evil"}, False),
        (OPEN, b"spectra.example", {b"origin": b"https://spectra.example@evil"}, False),
        (OPEN, b"spectra.example", {b"origin": b"null"}, False),
        (OPEN, b"spectra.example", {b"origin": b"file://"}, False),
        (LOCAL, b"localhost", {b"sec-fetch-site": b"same-site"}, False),
        (LOCAL, b"localhost", {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"navigate"}, False),
        (
            LOCAL,
            b"localhost",
            {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"},
            True,
        ),
    ],
)
def test_hosts_and_origins(hosts: Hosts, host: bytes, others: dict[bytes, bytes], allowed: bool) -> None:
    headers = [(b"host", host), *others.items()]
    if allowed:
        hosts.check(headers)
        return
    with pytest.raises(RequestError) as refused:
        hosts.check(headers)
    assert refused.value.status == 403


PIXELS = TINY.wavelength.count


def flux_body(rows: str, before: str = "", after: str = ', "params": {"noise": 0.1}') -> bytes:
    return f'{{{before}"inputs": [{rows}]{after}}}'.encode()


def rows_of(count: int) -> tuple[np.ndarray, str]:
    flux = np.round(np.random.default_rng(0).random((count, PIXELS)), 6)
    return flux, ", ".join(json.dumps(row) for row in flux.tolist())


@pytest.mark.parametrize("spaced", ["", '"params": {"noise": 0.1}, '])
def test_a_long_body_of_flux_is_read_row_by_row_as_a_short_one_is(spaced: str) -> None:
    flux, rows = rows_of(3)
    content = flux_body(rows, before=spaced, after="" if spaced else ', "params": {"noise": 0.1}')
    found, params = read_large_flux(TINY, content)
    np.testing.assert_array_equal(found, flux)
    short = read_flux(TINY, content, "application/json")
    np.testing.assert_array_equal(short.flux.astype(float), flux)
    assert params == short.params == {"noise": 0.1}


GOOD_ROW = rows_of(1)[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (flux_body(f"{GOOD_ROW}, [1.0]"), f"row 1 has 1 values, not {PIXELS}"),
        (flux_body(f"{GOOD_ROW}, {GOOD_ROW.replace('0.', 'x', 1)}"), "row 1 is no JSON list of numbers"),
        (flux_body(f"{GOOD_ROW} {GOOD_ROW}"), "neither a comma nor a bracket follows on row 0"),
        (flux_body(f"{GOOD_ROW}, 3"), "row 1 is no JSON list of numbers"),
        (flux_body(f"{GOOD_ROW}, [{'[' * 10**6}"), "row 1 has no end within"),
        (flux_body("[" + ",".join(["true"] * PIXELS) + "]"), "flux = True in row 0, pixel 0 is no number"),
        (flux_body(GOOD_ROW, before='"params": {', after=']}, "instances": []'), "no valid JSON"),
        (flux_body(GOOD_ROW, before='"params": {', after="}"), "the body has the field(s) none"),
        (flux_body(GOOD_ROW, before='"params": {', after='}, "inputs": [], "x": 1'), "the body has the field(s)"),
        (flux_body(GOOD_ROW, after=', "inputs": []'), "field inputs is given twice"),
        (flux_body(GOOD_ROW, before='"params": {', after='}, "instances": []'), "spectra in another place"),
        (flux_body(GOOD_ROW, after=" " * 70000), "bytes follow on the spectra"),
        (b" " * 70000 + flux_body(GOOD_ROW), "does not begin with spectra"),
        (flux_body(", ".join(["[]"] * 3)), "row 0 has 0 values"),
    ],
)
def test_a_long_body_with_a_fault_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_large_flux(TINY, content)
    assert said in str(refused.value)


def test_a_validator_takes_many_spectra_at_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "PARSED_AT_ONCE", 10**4)
    validator: Validator = tiny_validator(tmp_path_factory.mktemp("model") / "validator")
    flux = np.clip(rows_of(50)[0], 0.0, 1.0)
    with served(validator) as judge:
        predictions = judge.ask({"inputs": flux.tolist()}).content["predictions"]
        answer = judge.ask({"inputs": flux.tolist(), "params": {"nois": 1}})
    expected = validator(flux.astype(np.float32))
    np.testing.assert_allclose([list(row.values()) for row in predictions], expected, rtol=1e-6)
    assert "param nois is unknown" in answer.message
