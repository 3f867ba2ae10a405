#!/usr/bin/env python3
"""Sets up this checkout with nothing but Python's standard library, then runs it.

    python3 start.py train [name=value ...]       the main job: mlflow run . -e train --env-manager local
    python3 start.py test [pytest arguments]      the tests
    python3 start.py setup [test] [benchmarks]    the environment alone, with what tests or benchmarks need besides

The environment is the folder .venv, made from requirements.lock once, and again whenever that file or the checkout's
place changes; tests add what requirements-test.lock holds. Each file pins all that it stands for, by version and hash,
and pip is told to install just that, so no release that the index gains later can change or break an environment.
Parameters of train may also be written --name value; MLproject lists them.
Python 3.6 must be able to read this file, so that it can say which Python is wanted.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

WANTED = ((3, 13), (3, 12), (3, 11))
ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
LOG = ENVIRONMENT / "stellar-emulator-setup.log"
LOCK = ROOT / "requirements.lock"
STAGES = ("test", "benchmarks")
"""What `requirements-STAGE.lock` adds, one after the other."""

PROJECT = ROOT / "pyproject.toml"
PIP = [str(PYTHON), "-m", "pip"]
# Python compiles a module when it first imports it, and most of these are never imported.
PIP_INSTALL = [*PIP, "install", "--no-deps", "--no-compile", "--progress-bar", "off"]


class RefusalError(Exception):
    """Ends the program with one message and an exit code: 2 for bad arguments, 3 for what the machine lacks."""

    def __init__(self, message: str, exit_code: int = 3) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def say(message: str) -> None:
    """Print one line about the set-up."""
    print("stellar-emulator: " + message, file=sys.stderr, flush=True)


def main(arguments: list) -> None:
    """Set up, then become the command that the verb stands for.

    Raises
    ------
    RefusalError
        If an argument is wrong or the machine lacks something.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return
    verb, rest = arguments[0], arguments[1:]
    command = command_of(verb, rest)
    set_up(locks_of(["test"] if verb == "test" else rest if verb == "setup" else []))
    if command:
        say("running " + " ".join([Path(command[0]).name, *command[1:]]))
        os.chdir(str(ROOT))
        os.execve(command[0], command, child_environment())


def command_of(verb: str, rest: list) -> list:
    """Program and arguments that a verb stands for; empty for ``setup``. Raises `RefusalError` for anything unknown."""
    if verb == "train":
        mlflow = str(ENVIRONMENT / "bin" / "mlflow")
        return [mlflow, "run", ".", "-e", "train", "--env-manager", "local", *mlflow_parameters(rest)]
    if verb == "test":
        # All tests share the cores; some that a user names run as she says.
        return [str(PYTHON), "-m", "pytest", *(rest or ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"])]
    if verb == "setup" and set(rest) <= set(STAGES):
        return []
    if verb == "setup":
        unknown = next(word for word in rest if word not in STAGES)
        raise RefusalError(f"unknown part '{unknown}' of setup: it adds {' or '.join(STAGES)}", exit_code=2)
    raise RefusalError(f"unknown command '{' '.join([verb, *rest])}': use train, test or setup", exit_code=2)


def locks_of(stages: list) -> list:
    """Lock files of the product and of the stages named, in the order in which they are installed."""
    return [LOCK] + [ROOT / f"requirements-{stage}.lock" for stage in STAGES if stage in stages]


def mlflow_parameters(rest: list) -> list:
    """Turn ``--name value``, ``--name=value`` and ``name=value`` into mlflow's ``-P name=value``."""
    parameters = []
    words = iter(rest)
    for word in words:
        name, equals, value = word[2:].partition("=") if word.startswith("--") else word.partition("=")
        if word.startswith("--") and not equals:
            value = next(words, None)
        if not name.replace("_", "").isalnum() or value is None or not (equals or word.startswith("--")):
            raise RefusalError(f"argument '{word}' is not of the form name=value or --name value", exit_code=2)
        parameters += ["-P", f"{name}={value}"]
    return parameters


def set_up(locks: list) -> None:
    """Make the environment, or what is missing of it. Raises `RefusalError`."""
    if os.name != "posix":
        raise RefusalError("only Linux and macOS are supported: on Windows, run the same command in WSL")
    python = find_python()
    if starts() and all(map(is_current, [*locks, PROJECT])):
        return
    import fcntl  # Windows lacks it

    with LOCK.open("rb+") as lock:  # held by pip too, so that a killed set-up and the next one never overlap
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another set-up of this checkout to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.time()
        if not starts() or any(is_stale(path) for path in locks_of(list(STAGES))) or not is_current(LOCK):
            make_environment(python, lock.fileno())
        for path in locks:
            if not is_current(path):
                install(path, lock.fileno())
        if not is_current(PROJECT):
            install_project(lock.fileno())
        run_step([*PIP, "check"], lock.fileno())
        say(f"environment ready after {time.time() - began:.0f} s")


def find_python() -> str:
    """Path of a suitable interpreter: the running one, or else the first on PATH.

    Raises
    ------
    RefusalError
        Naming the version found, the versions wanted and the remedy.
    """
    names = [f"python{major}.{minor}" for major, minor in WANTED]
    others = [shutil.which(name, path=folder) for name in names for folder in os.get_exec_path()]
    candidates = [sys.executable, *others] if sys.version_info[:2] in WANTED else others
    for candidate in candidates:
        if candidate and makes_environments(candidate):
            return candidate
    found = sys.version.split()[0]
    if sys.version_info[:2] in WANTED:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        raise RefusalError(
            f"Python {found} ({sys.executable}) lacks its modules venv and ensurepip: "
            f"install them (Debian, Ubuntu: apt-get install {package}) and run the same command again"
        )
    raise RefusalError(
        f"Python 3.11, 3.12 or 3.13 is needed; this is Python {found} ({sys.executable}), and PATH holds none of the "
        "three that works: install one and run the same command with it, for example: python3.13 start.py train"
    )


def makes_environments(python: str) -> bool:
    """Whether an interpreter starts, is of a wanted version and can make virtual environments with pip."""
    probe = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in {WANTED!r})"
    return run_silently([python, "-c", probe])


def run_silently(command: list) -> bool:
    """Whether a command starts and exits with 0."""
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def starts() -> bool:
    """Whether the environment's Python is there and starts."""
    return run_silently([str(PYTHON), "-c", ""])


def is_current(source: Path) -> bool:
    """Whether the part of the environment made from a file was finished and is still right."""
    stamp = stamp_of(source)
    return stamp.is_file() and stamp.read_text() == fingerprint(source)


def is_stale(source: Path) -> bool:
    """Whether the environment has a part made from another state of a file, or of the checkout's place."""
    return stamp_of(source).is_file() and not is_current(source)


def stamp_of(source: Path) -> Path:
    """The file whose presence says that what is made from ``source`` was finished."""
    return ENVIRONMENT / (source.name + ".stamp")


def fingerprint(source: Path) -> str:
    """SHA-256 over a file and over the checkout's path, which the scripts of an environment hold."""
    return hashlib.sha256(str(ROOT).encode() + source.read_bytes()).hexdigest()


def make_environment(python: str, lock: int) -> None:
    """Make the environment anew, empty but for pip, logging to `LOG`.

    Raises
    ------
    RefusalError
        If the folder isn't one that this script made, or a step fails.
    """
    if ENVIRONMENT.exists() and not LOG.exists() and any(ENVIRONMENT.iterdir()):
        raise RefusalError(
            f"{ENVIRONMENT} was not made by start.py: rename or remove it and run the same command again"
        )
    shutil.rmtree(str(ENVIRONMENT), ignore_errors=True)
    ENVIRONMENT.mkdir(exist_ok=True)
    LOG.touch()
    say(f"making an environment in {ENVIRONMENT}")
    run_step([python, "-m", "venv", str(ENVIRONMENT)], lock)


def install(locked: Path, lock: int) -> None:
    """Install the packages that a file pins, and nothing else; its stamp is written last. Raises `RefusalError`."""
    say(f"installing the packages of {locked.name}, some minutes the first time")
    run_step([*PIP_INSTALL, "--require-hashes", "--requirement", str(locked)], lock)
    stamp_of(locked).write_text(fingerprint(locked))


def install_project(lock: int) -> None:
    """Install this checkout itself, as it lies, so that its command is at hand. Raises `RefusalError`."""
    say("installing stellar-emulator from this checkout")
    run_step([*PIP_INSTALL, "--no-build-isolation", "--editable", str(ROOT)], lock)
    stamp_of(PROJECT).write_text(fingerprint(PROJECT))


def run_step(command: list, lock: int) -> None:
    """Run one command of the set-up. Raises `RefusalError` with the log's last lines if it fails."""
    with LOG.open("ab") as log:
        log.write((" ".join(command) + "\n").encode())
        log.flush()
        code = subprocess.call(command, stdout=log, stderr=log, env=child_environment(), pass_fds=[lock])
    if code:
        lines = LOG.read_bytes().decode(errors="replace").splitlines()
        tail = "\n".join("    " + line for line in lines[-12:])
        raise RefusalError(f"the set-up failed (exit code {code}); the whole log is {LOG}, it ends:\n{tail}")


def child_environment() -> dict:
    """Environment variables of everything run here: this environment first, and nothing from another one."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    environment["VIRTUAL_ENV"] = str(ENVIRONMENT)
    environment["PATH"] = os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", os.defpath)])
    environment["PIP_USER"] = "0"
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("GX_ANALYTICS_ENABLED", "false"),
        ("TF_CPP_MIN_LOG_LEVEL", "3"),
    ):
        environment.setdefault(name, value)
    return environment


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RefusalError as refusal:
        say(f"error: {refusal}")
        sys.exit(refusal.exit_code)
    except KeyboardInterrupt:
        say("interrupted: the same command sets up again")
        sys.exit(130)
