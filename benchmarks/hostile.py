"""A served emulator under 10,000 hostile requests beside slow clients; honest clients ask meanwhile, and are timed."""

import argparse
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random

from benchmarks.hostile_requests import KINDS, good, good_body, request, star
from benchmarks.machine import Row, table
from benchmarks.serving import served
from stellar_emulator import Emulator
from stellar_emulator.contract.contract import Contract

ATTACKERS = 12
HONEST = 4
SLOW = 20
HALF_OPEN = 300


def main() -> None:
    """Serve one emulator on a free port and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", default="gaia_rvs", help="as for stellar-emulator serve")
    parser.add_argument("--requests", type=int, default=10_000, help="hostile ones")
    options = parser.parse_args()
    print(table("Serving, attacked", measured(options.emulator, options.requests)))


@dataclass
class Seen:
    """What became of all requests."""

    hostile: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    large: list[float] = field(default_factory=list)


def measured(emulator: str, requests: int) -> list[Row]:
    """What hostile, slow and honest clients get, and what the server takes for it."""
    contract = Emulator.load(emulator).contract
    seen, ended = Seen(), threading.Event()
    with served("serve", emulator) as (server, port):
        _ask(port, good(contract, Random(0)))
        alone = Seen()
        with _honest(port, contract.name, alone):
            time.sleep(10.0)
        clients: list[Callable[[threading.Event], None]] = [
            *(lambda done, number=number: _slow(port, contract, number, done) for number in range(SLOW)),
            lambda done: _half_open(port, done),
            lambda done: _large(port, contract, seen, done),
        ]
        with _honest(port, contract.name, seen):
            _while(lambda: _attack(port, contract, requests, seen), clients)
        most = _most_resident(server.pid)
        # Slow clients are there when the server is told to end, too.
        slow = [threading.Thread(target=_slow, args=(port, contract, number, ended)) for number in range(SLOW)]
        for client in slow:
            client.start()
        time.sleep(2.0)
        start = time.perf_counter()
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        end = time.perf_counter() - start
        ended.set()
    statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(seen.hostile.items()))
    broken = sum(count for status, count in seen.hostile.items() if status.startswith("5") and status != "503")
    return [
        (f"{requests:,} hostile requests of {len(KINDS)} kinds: statuses", statuses, "no 500"),
        ("of them status 500 or another fault of the server", str(broken), "0"),
        ("of them status 200", ", ".join(seen.faults) or "0", "0"),
        (
            f"{HONEST} honest clients beside them, {SLOW} slow ones and {HALF_OPEN} half-open connections",
            f"{len(seen.wrong)} of {len(seen.seconds):,} requests unanswered",
            "0",
        ),
        ("one spectrum as JSON meanwhile, median and 99 % (ms)", _quantiles(seen.seconds), "99 %: <= 100"),
        ("the same without any others", _quantiles(alone.seconds), ""),
        ("2,048 spectra as base64 meanwhile, longest (s)", f"{max(seen.large, default=0.0):.1f}", ""),
        ("most resident memory of the server (MB)", f"{most:.0f}", "<= 600"),
        (f"from SIGTERM to its end, {SLOW} slow clients beside (s)", f"{end:.1f}", "<= 10"),
    ]


def _while(work: Callable[[], None], beside: list[Callable[[threading.Event], None]]) -> None:
    """Do some work while others do theirs in threads of their own, each until it is told to end."""
    done = threading.Event()
    threads = [threading.Thread(target=one, args=(done,)) for one in beside]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _attack(port: int, contract: Contract, requests: int, seen: Seen) -> None:
    """Send the hostile requests, each kind as often, from some threads; note statuses."""
    numbers, kinds = iter(range(requests)), cycle(KINDS.items())
    lock = threading.Lock()

    def send() -> None:
        while True:
            with lock:
                number, (kind, make) = next(numbers, None), next(kinds)
            if number is None:
                return
            status = _ask(port, make(contract, Random(number)))
            with lock:
                seen.hostile[status] += 1
                if status == "200":
                    seen.faults[kind] += 1

    senders = [threading.Thread(target=send) for _ in range(ATTACKERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def _ask(port: int, message: bytes) -> str:
    """Status of what a connection answers first; "closed" if it answers nothing."""
    with connection(port) as stream:
        with suppress(OSError):  # refused before its end
            stream.sendall(message)
        return status_of(stream)


def status_of(stream: socket.socket) -> str:
    """Status of the next answer; "closed" if there is none."""
    head = b""
    with suppress(OSError):
        while len(head) < 12:
            part = stream.recv(12 - len(head))
            if not part:
                break
            head += part
    return head[9:12].decode() if len(head) == 12 else "closed"


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    """A connection to the server."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        yield stream


@contextmanager
def _honest(port: int, contract: str, seen: Seen) -> Iterator[None]:
    """Honest clients ask meanwhile."""
    words = [sys.executable, "-m", "benchmarks.honest_clients", str(port), contract, str(HONEST)]
    clients = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield
        found = json.loads(clients.communicate(timeout=120)[0])
        seen.seconds, seen.wrong = found["seconds"], found["wrong"]
    finally:
        clients.kill()


def large_body(contract: Contract, encoding: str) -> bytes:
    """A request for as many spectra as one may have."""
    rows = [list(star(contract, Random(1)).values())] * 2048
    content = {"columns": contract.label_names, "data": rows}
    return json.dumps({"dataframe_split": content, "params": {"encoding": encoding}}).encode()


def _large(port: int, contract: Contract, seen: Seen, done: threading.Event) -> None:
    body = large_body(contract, "base64")
    while not done.is_set():
        start = time.perf_counter()
        with suppress(OSError), connection(port) as stream:
            stream.sendall(request(body, "Connection: close"))
            while stream.recv(2**20):
                pass
            seen.large.append(time.perf_counter() - start)
        done.wait(5.0)


def _slow(port: int, contract: Contract, number: int, done: threading.Event) -> None:
    """Be slow in one of four ways, again and again: in the head, the body, taking an answer, saying anything."""
    body = good_body(contract, Random(number))
    ways = [
        (request(body)[:40], b"x"),
        (request(body, length=10**5), b" "),
        (request(large_body(contract, "json")), b""),
        (b"", b""),
    ]
    begin, piece = ways[number % len(ways)]
    while not done.is_set():
        with suppress(OSError), connection(port) as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stream.sendall(begin)
            stream.settimeout(0.5)
            while not done.wait(0.5):
                stream.sendall(piece)
                with suppress(TimeoutError):
                    if not stream.recv(1):
                        break


def _half_open(port: int, done: threading.Event) -> None:
    """Keep connections open that say nothing, and open others for those that are closed."""
    held: list[socket.socket] = []
    while not done.wait(1.0):
        held = [stream for stream in held if _open(stream)]
        with suppress(OSError):
            while len(held) < HALF_OPEN:
                held.append(socket.create_connection(("127.0.0.1", port), timeout=5))
    for stream in held:
        stream.close()


def _open(stream: socket.socket) -> bool:
    stream.settimeout(0.0)
    try:
        still = bool(stream.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        still = False
    if not still:
        stream.close()
    return still


def _quantiles(seconds: list[float]) -> str:
    ordered = sorted(1000.0 * value for value in seconds)
    return f"{ordered[len(ordered) // 2]:.1f}, {ordered[len(ordered) * 99 // 100]:.1f}"


def _most_resident(process: int) -> float:
    """Most megabytes of memory that a process has held."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000.0


if __name__ == "__main__":
    main()
