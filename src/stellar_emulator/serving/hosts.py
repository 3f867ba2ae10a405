"""By which names a server may be asked, and by whose pages.

A page of any web site can send requests to servers of the machine that its reader sits at. The browser says in
``Origin`` (or ``Sec-Fetch-Site``) whose page asks; and a site whose name is made to lead to this machine (DNS
rebinding) stands in ``Host`` under its own name, which is none of ours.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stellar_emulator.serving.refusals import RequestError

FORBIDDEN = 403

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Hosts:
    """names: of hosts, in lower case. addresses: IP addresses; None: any, since no site can take one for its name."""

    names: frozenset[str]
    addresses: frozenset[str] | None

    @classmethod
    def of(cls, bound: str, further: Iterable[str] = ()) -> "Hosts":
        """Hosts of a server bound to an IP address; ``further``: other names by which it may be asked.

        A server on this machine alone is asked as ``localhost`` or by a loopback address; one that others reach, by
        any IP address and by the machine's own name besides.
        """
        names = {"localhost", *(name.strip().lower().rstrip(".") for name in further)}
        if ipaddress.ip_address(bound.partition("%")[0]).is_loopback:
            return cls(frozenset(names), frozenset({"127.0.0.1", "::1", bound}))
        return cls(frozenset(names | {socket.gethostname().lower(), socket.getfqdn().lower()}), None)

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Raise `RequestError` (400 or 403) for a request to a host that is none of these, or of another site's page.

        headers: lower-case names with their values, as ASGI has them.
        """
        host = _single(headers, b"host")
        if host is None:
            raise RequestError(400, "the request has no header Host, or more than one: name the server that is asked")
        if not self._holds(host):
            raise RequestError(
                FORBIDDEN,
                f"this server is not {host[:80]!r}: ask it as localhost or by its IP address, or start it with --names "
                "and the name that it shall answer to",
            )
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if any(_netloc(origin) != _without_default(host, origin) for origin in origins):
            raise RequestError(FORBIDDEN, f"a page of {origins[0][:80]!r} asked, not one of this server")
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        if any(site not in (b"same-origin", b"none") for site in sites) and not _opens_a_page(headers):
            raise RequestError(FORBIDDEN, "a page of another site asked, not one of this server")

    def _holds(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower()
        try:
            address = str(ipaddress.ip_address(name.strip("[]")))
        except ValueError:
            return name.rstrip(".") in self.names if not name.startswith("[") else False
        return self.addresses is None or address in self.addresses


def _single(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    values = [value for name, value in headers if name == wanted]
    return values[0].decode("latin-1").strip() if len(values) == 1 else None


def _opens_a_page(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a link was followed: the reader sees the answer, and the page with the link does not."""
    given: Mapping[bytes, bytes] = dict(headers)
    return given.get(b"sec-fetch-mode") == b"navigate" and given.get(b"sec-fetch-dest") == b"document"


def _netloc(origin: str) -> str | None:
    """Host and port of an origin, without the port that its scheme has by default; None: it is no origin."""
    scheme, separator, netloc = origin.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        return None
    return netloc.lower().removesuffix(f":{_DEFAULT_PORTS[scheme]}")


def _without_default(host: str, origin: str) -> str:
    scheme = origin.partition("://")[0]
    return host.lower().removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")
