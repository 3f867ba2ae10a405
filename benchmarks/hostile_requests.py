"""Requests that no server of spectra should answer with a spectrum, as bytes on the wire, by kind."""

import gzip
import json
from collections.abc import Callable
from random import Random
from typing import Any

from stellar_emulator.contract.contract import Contract

Maker = Callable[[Contract, Random], bytes]

JSON = "application/json"


def request(
    body: bytes,
    *lines: str,
    method: str = "POST",
    path: str = "/invocations",
    version: str = "1.1",
    host: str | None = "127.0.0.1",
    kind: str | None = JSON,
    length: int | None = None,
) -> bytes:
    """One request; ``lines``: headers as they stand; length: the one that is stated, -1 for none."""
    head = [f"{method} {path} HTTP/{version}"]
    head += [] if host is None else [f"Host: {host}"]
    head += [] if kind is None else [f"Content-Type: {kind}"]
    head += [] if length == -1 else [f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *lines, "", ""]).encode("latin-1") + body


def star(contract: Contract, random: Random) -> dict[str, Any]:
    """Labels inside the contract."""
    return {label.name: random.uniform(label.lower, label.upper) for label in contract.labels}


def good_body(contract: Contract, random: Random, **changed: Any) -> bytes:
    """A request for one spectrum, but for what is changed of its labels."""
    return json.dumps({"dataframe_records": [star(contract, random) | changed]}).encode()


def good(contract: Contract, random: Random) -> bytes:
    """The control: a request that is answered."""
    return request(good_body(contract, random))


def _text_of(value: str) -> Maker:
    """The first label as a text that JSON has, or nearly."""

    def make(contract: Contract, random: Random) -> bytes:
        name = contract.label_names[0]
        return request(good_body(contract, random, **{name: "here"}).replace(b'"here"', value.encode()))

    return make


def _body(make: Callable[[Contract, Random], bytes], **how: Any) -> Maker:
    return lambda contract, random: request(make(contract, random), **how)


def _headed(*lines: str, **how: Any) -> Maker:
    return lambda contract, random: request(good_body(contract, random), *lines, **how)


def _twice(contract: Contract, random: Random) -> bytes:
    """Many keys, one of them twice."""
    keys = ",".join(f'"k{number}": 0' for number in range(random.randint(10, 20000)))
    return f'{{{keys}, "k1": 1}}'.encode()


def _chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> Maker:
    lines = "Transfer-Encoding: chunked"
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end
    return lambda contract, random: request(body, lines, length=-1)


def _rows(contract: Contract, random: Random) -> bytes:
    return json.dumps({"instances": [star(contract, random)] * random.randint(2049, 4000)}).encode()


def _wide(contract: Contract, random: Random) -> bytes:
    names = [f"l{number}" for number in range(random.randint(100, 20000))]
    return json.dumps({"dataframe_split": {"columns": names, "data": [[0] * len(names)]}}).encode()


def _of_columns(contract: Contract, random: Random) -> bytes:
    columns = {name: [value] for name, value in star(contract, random).items()}
    columns[contract.label_names[-1]] = [1.0, 2.0]
    return json.dumps({"inputs": columns}).encode()


KINDS: dict[str, Maker] = {
    "not a number": _text_of("NaN"),
    "infinity": _text_of("-Infinity"),
    "beyond double": _text_of("1e999"),
    "digits": lambda contract, random: _text_of("9" * random.randint(400, 100000))(contract, random),
    "a text": _text_of('"5777"'),
    "a lone surrogate": _text_of('"\\ud800"'),
    "a truth value": _text_of("true"),
    "nested value": _text_of("[[5777]]"),
    "an octal": _text_of("05777"),
    "a surrogate as a name": _body(lambda c, r: good_body(c, r, **{"\ud800": 1})),
    "control characters as a name": _body(lambda c, r: good_body(c, r, **{"\x1b[2J\x07": 1})),
    "a long name": _body(lambda c, r: good_body(c, r, **{"x" * r.randint(100, 100000): 1})),
    "a key twice": _body(_twice),
    "deep lists": _body(lambda c, r: b"[" * r.randint(33, 100000)),
    "deep objects": _body(lambda c, r: b'{"a":' * r.randint(33, 100000)),
    "many lists": _body(lambda c, r: b'{"instances": [' + b"[]," * 100000 + b"[]]}"),
    "rows": _body(_rows),
    "columns": _body(_wide),
    "unequal columns": _body(_of_columns),
    "two forms": _body(lambda c, r: b'{"instances": [], "inputs": {}}'),
    "a string cut": _body(lambda c, r: good_body(c, r)[: r.randint(1, 60)]),
    "no UTF-8": _body(lambda c, r: b"\xff\xfe" + r.randbytes(100)),
    "UTF-16": _body(lambda c, r: good_body(c, r).decode().encode("utf-16")),
    "nothing": _body(lambda c, r: b""),
    "many bytes": _body(lambda c, r: b" " * r.randint(2 * 2**20, 3 * 2**20)),
    "a CSV of one column": _body(lambda c, r: b"1\n" * 100000, kind="text/csv"),
    "a CSV of a quote": _body(lambda c, r: b'teff\n"' + b"1" * 200000, kind="text/csv"),
    "text of a web page's form": _headed(kind="text/plain"),
    "a form": _headed(kind="application/x-www-form-urlencoded"),
    "two types": _headed("Content-Type: text/csv"),
    "no type": _headed(kind=None),
    "gzip": lambda c, r: request(gzip.compress(good_body(c, r)), "Content-Encoding: gzip"),
    "gzip in name alone": _headed("Content-Encoding: gzip"),
    "a query": _headed(path="/invocations?encoding=base64"),
    "another host": _headed(host="evil.example"),
    "a host in percents": _headed(host="127%2e0.0.1"),
    "a host before another": _headed(host="127.0.0.1.evil.example"),
    "a host with a user": _headed(host="127.0.0.1@evil.example"),
    "a host of IPv6": _headed(host="[2001:db8::1]:8000"),
    "a host of IPv6 with a zone": _headed(host="[fe80::1%25eth0]"),
    "an address mapped to IPv6": _headed(host="[::ffff:10.0.0.1]"),
    "an empty host": _headed(host=""),
    "no host": _headed(host=None),
    "no host, HTTP/1.0": _headed(host=None, version="1.0"),
    "two hosts": _headed("Host: evil.example"),
    "two hosts, HTTP/1.0": _headed("Host: evil.example", version="1.0"),
    "another origin": _headed("Origin: https://evil.example"),
    "no origin": _headed("Origin: null"),
    "another port's origin": _headed("Origin: http://127.0.0.1:1"),
    "two origins": _headed("Origin: http://127.0.0.1", "Origin: https://evil.example"),
    "another site": _headed("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
    "an absolute target": _headed(path="http://evil.example/invocations"),
    "a long header": lambda c, r: request(b"", "X: " + "x" * r.randint(70000, 200000)),
    "many headers": lambda c, r: request(b"", *(f"X{number}: 1" for number in range(10000))),
    "a space before the colon": _headed("X : 1"),
    "no HTTP": lambda c, r: b"\x16\x03\x01" + r.randbytes(200) + b"\r\n\r\n",
    "HTTP/9": _headed(version="9.9"),
    "HTTP/2's preface": lambda c, r: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another method": lambda c, r: request(
        b"", method=r.choice(["GET", "PUT", "DELETE", "TRACE", "CONNECT", "A" * 99])
    ),
    "a length of many": _headed(length=10**15),
    "a length below zero": _headed(length=-2),
    "a length that is none": lambda c, r: request(b"", "Content-Length: 1e3", length=-1),
    "two lengths": _headed("Content-Length: 3"),
    "a length and chunks": lambda c, r: request(b"0\r\n\r\n", "Transfer-Encoding: chunked", length=5),
    "a length too short": lambda c, r: request(good_body(c, r), length=7),
    "chunks of nothing": _chunked(b"{", b"}"),
    "a chunk of many bytes": _chunked(end=b"fffffffffffffff\r\n"),
    "a chunk that is none": _chunked(end=b"zz\r\n"),
    "another encoding": lambda c, r: request(b"", "Transfer-Encoding: gzip, chunked", length=-1),
    "a word before too long a body": lambda c, r: request(b"", "Expect: 100-continue", length=2**40),
    "another expectation": _headed("Expect: a-miracle", host="evil.example"),
    "refusals in a row": lambda c, r: b"".join(request(b"[]") for _ in range(20)),
}
"""Each is one connection's worth; whatever it gets, it is no status 200, and none of 500."""
