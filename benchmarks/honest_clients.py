"""Honest clients in a process of their own: they ask for one spectrum again and again until standard input ends."""

import argparse
import json
import sys
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from random import Random

from benchmarks.hostile_requests import good_body
from stellar_emulator.contract.contract import Contract, read_contract

PAUSE_SECONDS = 0.05
"""Between two requests of a client."""


def main() -> None:
    """Print how long each answer took (s), and how many requests were not answered rightly, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("contract")
    parser.add_argument("clients", type=int)
    options = parser.parse_args()
    contract, done = read_contract(options.contract), threading.Event()
    seconds: list[float] = []
    wrong: list[str] = []
    clients = [
        threading.Thread(target=_ask, args=(options.port, contract, Random(seed), seconds, wrong, done))
        for seed in range(options.clients)
    ]
    for client in clients:
        client.start()
    sys.stdin.read()
    done.set()
    for client in clients:
        client.join()
    print(json.dumps({"seconds": seconds, "wrong": wrong}))


def _ask(
    port: int, contract: Contract, random: Random, seconds: list[float], wrong: list[str], done: threading.Event
) -> None:
    """Ask each time on a connection of its own, as many clients would."""
    while not done.is_set():
        body, start = good_body(contract, random), time.perf_counter()
        try:
            with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as client:
                client.request("POST", "/invocations", body, {"content-type": "application/json"})
                answer = client.getresponse()
                content = answer.read()
            seconds.append(time.perf_counter() - start)
            if answer.status != 200 or len(json.loads(content)["predictions"][0]) != contract.wavelength.count:
                wrong.append(f"status {answer.status}")
        except (OSError, HTTPException, ValueError) as error:
            wrong.append(repr(error))
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
