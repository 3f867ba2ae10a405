"""Crashes promotions and rollbacks: after each write, and at random moments by kill -9. Run as a script by the tests.

    python tests/support/crash.py FOLDER [--store URI] [--writes no] [--kills 20] [--judging yes]

Every command runs in a process of its own, forked from this one, which has paid for the imports and has no connection
to the store. After each crash the opposite command runs, as a user would; then all must be consistent and every
decision that was written carried out. Prints one line of JSON a crash; the exit code tells whether all went well.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import alembic.context
import git
import great_expectations
import mlflow
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import pytest
import sqlalchemy.orm
from arena import MODELS, Arena, without_page_and_server

import stellar_emulator.cli.promote
import stellar_emulator.cli.rollback
from stellar_emulator.cli.promote import Case, Outcome, _record
from stellar_emulator.promotion.audit import chain, faults
from stellar_emulator.promotion.candidates import RegisteredPair
from stellar_emulator.promotion.champion import PairVersions, State
from stellar_emulator.registry.tracking import TrackedRun

# What each child would import for itself, were it not done here.
IMPORTED = (alembic.context, git, great_expectations, stellar_emulator.cli.promote, stellar_emulator.cli.rollback)

CRASHED = 77

WRITES = (
    "create_registered_model",
    "delete_registered_model",
    "set_registered_model_tag",
    "delete_registered_model_tag",
    "set_model_version_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "log_text",
    "log_batch",
    "set_terminated",
)

A, B = PairVersions(1, 1), PairVersions(2, 2)
Command = Callable[[], int]


def forked(command: Command) -> int:
    """Process id of a child that runs a command and ends with its exit code."""
    child = os.fork()
    if not child:
        try:
            os._exit(command())
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(99)
    return child


def ended(child: int) -> int:
    """Exit code of a child, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def crashing(command: Command, at: int) -> Command:
    """The same command, whose process ends without a word after its write number ``at``."""

    def run() -> int:
        left = at

        def counted(write: Callable[..., object]) -> Callable[..., object]:
            def inner(*args: object, **options: object) -> object:
                nonlocal left
                result = write(*args, **options)
                left -= 1
                if not left:
                    os._exit(CRASHED)
                return result

            return inner

        for name in WRITES:
            setattr(mlflow.MlflowClient, name, counted(getattr(mlflow.MlflowClient, name)))
        return command()

    return run


def troubles(arena: Arena, wanted: State) -> list[str]:
    """What is wrong after a command that followed a crash."""
    found = []
    champion, previous = arena.state()
    if (champion, previous) != (wanted.champion, wanted.previous):
        found.append(f"state is {champion}, {previous}")
    pairs = {"champion": champion, "previous": previous}
    derived = {alias: pair.validator for alias, pair in pairs.items() if pair}
    stands = {alias: int(version) for alias, version in arena.aliases()[MODELS.validator].items()}
    if stands != derived:
        found.append(f"validator's aliases are {stands}, not {derived}")
    if arena.locks():
        found.append(f"locks left: {arena.locks()}")
    with arena.entered():
        links = chain(MODELS.emulator)
        found += faults(MODELS.emulator, links)
        now: State | None = None
        for link in links:
            if not link.moves:
                continue
            content = link.content()
            if not link.finished:
                found.append(f"{link} is unfinished")
            if now is not None and State.from_dict(content["before"]) != now:
                found.append(f"{link} did not start from what the decision before it left")
            now = State.from_dict(content["after"])
    return found


def trial(arena: Arena, crash: Callable[[], int], after: Command, wanted: State, **said: object) -> tuple[int, bool]:
    """Crash, run the next command, look; return how the first ended and whether all is well."""
    start = time.monotonic()
    code = crash()
    reader, writer = os.pipe()

    def look() -> int:
        following = after()
        os.write(writer, json.dumps(troubles(arena, wanted)).encode())
        return following

    following = ended(forked(look))
    os.close(writer)
    found = json.loads(os.read(reader, 65536) or '["could not look"]')
    os.close(reader)
    line = {**said, "ended": code, "next": following, "troubles": found, "seconds": round(time.monotonic() - start, 2)}
    print(json.dumps(line), flush=True)
    # 2: a rollback that has nowhere to go, since the crash came before the decision.
    return code, not found and following in (0, 2)


def without_judging(patch: pytest.MonkeyPatch) -> None:
    """Leave out all that only reads: what is left are the writes and the reads that repair depends on."""

    def promoted(case: Case, job: TrackedRun) -> Outcome:
        return Outcome(_record(case, job, {"promoted": True}, None, 0), "<html></html>", "promoted", [])

    patch.setattr("stellar_emulator.cli.promote._judged", promoted)
    patch.setattr("stellar_emulator.cli.promote.require_validated", lambda *facts: "")
    patch.setattr("stellar_emulator.cli.rollback.load_pair", lambda models, pair: RegisteredPair(pair, None, (), {}))
    patch.setattr(RegisteredPair, "models", {})
    for module in ("registry.tracking", "promotion.decisions"):
        patch.setattr(f"stellar_emulator.{module}.provenance", dict)


@contextmanager
def one_promoted(folder: Path) -> Iterator[Arena]:
    """A registry in which versions 1 were promoted and versions 2 never judged, whose promotions leave out judging."""
    made = Arena(folder, f"sqlite:///{folder / 'mlflow.db'}")
    made.build()
    first, second = PairVersions(1, 1), PairVersions(2, 2)
    assert (made.register_in_name(1.0), made.register_in_name(2.0)) == (first, second)
    with pytest.MonkeyPatch.context() as patch:
        without_page_and_server(patch)
        without_judging(patch)
        assert made.promote(first).code == 0
        yield made


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store")
    parser.add_argument("--writes", default="yes")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--judging", default="no")
    options = parser.parse_args()
    arena = Arena(options.folder, options.store or f"sqlite:///{options.folder / 'mlflow.db'}")
    without_page_and_server(pytest.MonkeyPatch())
    sqlalchemy.orm.configure_mappers()
    with suppress(ImportError):
        import_module("IPython")

    def prepare() -> int:
        arena.build()
        register = arena.register if options.judging == "yes" else arena.register_in_name
        assert (register(ripple=5e-4), register(ripple=2e-4)) == (A, B)
        return arena.promote(A).code

    promote, back = (lambda: arena.promote(B).code), (lambda: arena.run("rollback", "--reason", "a crash").code)
    if options.judging == "no":
        without_judging(pytest.MonkeyPatch())
    assert ended(forked(prepare)) == 0
    # What follows each crash leads back to where it began.
    well = crashes(arena, "promote", promote, back, State(A, None), options)
    assert ended(forked(promote)) == 0
    return 0 if crashes(arena, "rollback", back, promote, State(B, A), options) and well else 1


def crashes(
    arena: Arena, name: str, command: Command, after: Command, wanted: State, options: argparse.Namespace
) -> bool:
    """Crash one command in all ways; tell whether all went well."""
    lasted = 0.0

    def whole() -> int:
        nonlocal lasted
        start, code = time.monotonic(), ended(forked(command))
        lasted = time.monotonic() - start
        return code

    def killed(delay: float) -> int:
        nonlocal lasted
        child = forked(command)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        code = ended(child)
        lasted = min(lasted, delay) if code == 0 else lasted
        return code

    code, all_well = trial(arena, whole, after, wanted, command=name)
    all_well, code, at = all_well and not code, CRASHED, 0
    while options.writes == "yes" and code == CRASHED:
        at += 1
        crashed = crashing(command, at)
        code, well = trial(arena, lambda: ended(forked(crashed)), after, wanted, command=name, write=at)  # noqa: B023
        all_well = all_well and well and code in (CRASHED, 0)
    random_numbers, rollbacks = random.Random(name), options.kills // 3
    kills = rollbacks if name == "rollback" else options.kills - rollbacks
    while kills > 0:
        delay = random_numbers.uniform(0.0, lasted)
        code, well = trial(arena, lambda: killed(delay), after, wanted, command=name, killed_after=round(delay, 3))  # noqa: B023
        kills -= code == -signal.SIGKILL
        all_well = all_well and well
    return all_well


if __name__ == "__main__":
    raise SystemExit(main())
