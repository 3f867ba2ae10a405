"""Proves that a bare clone sets itself up with every Python of this machine: ``make prove-setup``.

For each Python 3.11 to 3.13 that is found (or named by --python): a clean clone of the last commit, an empty HOME,
``start.py setup`` as ``train`` does it and ``start.py setup test`` as ``test`` does it, timed and weighed, and
``pip check``. Then the lock as conda and uv take it, resolved by several pips beside an index that has a later release
of every package. Last the wheel in a fresh environment, used in an empty folder without a network.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.local_index import LATER, write_later_releases
from benchmarks.machine import Row, table

ROOT = Path(__file__).resolve().parents[1]
PIPS = ("23.0.1", "23.2.1", "24.2", "26.3")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", help="an interpreter; again for more", default=[])
    parser.add_argument("--light_alone", action="store_true", help="measure the wheel alone")
    options = parser.parse_args()
    pythons = options.python or list(found_pythons())
    with tempfile.TemporaryDirectory() as scratch:
        if not options.light_alone:
            rows = [row for python in pythons for row in set_ups(python, Path(scratch))]
            print(table("Set-up of a bare clone, HOME empty before the first", rows, SET_UP), flush=True)
            rows = [*resolved_by_pip(pythons[0], Path(scratch)), *resolved_by_uv(Path(scratch))]
            print(table("The lock, resolved beside later releases of all its packages", rows, RESOLVED), flush=True)
        rows = [row for python in pythons for row in light_install(python, Path(scratch))]
        print(table("pip install of the wheel in a fresh environment, then used without a network", rows, LIGHT))


SET_UP = ("Python", "its pip", "command", "seconds", "MiB", "pip check")
RESOLVED = ("installer", "packages", "of those later than the lock")
LIGHT = ("Python", "measure", "result", "bar")

SUN = ["--teff", "5777", "--logg", "4.44", "--vsini", "2", "--m_h", "0", "--vmicro", "1", "--resolution", "11500"]

FIRST = """
from stellar_emulator import Emulator
assert Emulator.load()(teff=5777, logg=4.44, vsini=2, m_h=0, vmicro=1, resolution=11500).shape == (4000,)
"""


def found_pythons() -> Iterator[str]:
    """Every Python 3.11, 3.12 and 3.13 on PATH or in pyenv's folder, each release once."""
    folders = [*os.get_exec_path(), *map(str, sorted(Path.home().glob(".pyenv/versions/3.1[123].*/bin")))]
    folders = [folder for folder in folders if "shims" not in folder and Path(folder).parent != Path(sys.prefix)]
    seen: set[str] = set()
    for folder in folders:
        for name in ("python3.11", "python3.12", "python3.13"):
            python = shutil.which(name, path=folder)
            version = answer([python, "-c", "import sys; print(sys.version)"]) if python else ""
            if python and version not in seen | {""}:
                seen.add(version)
                yield python


def set_ups(python: str, scratch: Path) -> Iterator[tuple[str, ...]]:
    """Set a clean clone up with one Python, for ``train`` and then for ``test``."""
    version = answer([python, "-c", "import platform; print(platform.python_version())"])
    pip = answer([python, "-c", "import ensurepip; print(ensurepip.version())"])
    clone, home = scratch / f"clone-{version}", scratch / "home"
    home.mkdir(exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    environment = {**os.environ, "HOME": str(home)}
    for stage in ([], ["test"]):
        began = time.perf_counter()
        subprocess.run([python, "start.py", "setup", *stage], cwd=clone, env=environment, check=True)
        seconds = time.perf_counter() - began
        check = answer([str(clone / ".venv/bin/python"), "-m", "pip", "check"])
        command = " ".join(["start.py setup", *stage])
        yield version, pip, command, f"{seconds:.0f}", f"{mebibytes(clone / '.venv'):.0f}", check
    shutil.rmtree(clone)


def resolved_by_pip(python: str, scratch: Path) -> Iterator[Row]:
    """Resolve the lock, as conda's pip section does, by each pip."""
    for version in PIPS:
        environment = scratch / f"pip-{version}"
        subprocess.run([python, "-m", "venv", "--without-pip", str(environment)], check=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"pip=={version}"]
        subprocess.run([*command, "--dest", str(scratch)], check=True)
        (packages,) = environment.glob("lib/python3*/site-packages")
        zipfile.ZipFile(scratch / f"pip-{version}-py3-none-any.whl").extractall(packages)
        command = [str(environment / "bin/python"), "-m", "pip", "install", "--dry-run", "--ignore-installed", "-U"]
        command += ["--find-links", str(later_releases(scratch)), "-r", "requirements.lock"]
        would = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        yield counted(f"pip {version}", would.partition("Would install ")[2].split())


def resolved_by_uv(scratch: Path) -> Iterator[Row]:
    """Resolve the lock, as ``mlflow run --env-manager uv`` does."""
    uv = [sys.executable, "-m", "uv"]
    python = scratch / "uv/bin/python"
    subprocess.run([*uv, "venv", "--quiet", str(python.parents[1])], check=True)
    command = [*uv, "pip", "install", "--dry-run", "--python", str(python), "-r", "requirements.lock"]
    command += ["--find-links", str(later_releases(scratch))]
    would = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    version = answer([*uv, "--version"]).split()[1]
    yield counted(f"uv {version}", re.findall(r"^ \+ (\S+)", would, re.MULTILINE))


def counted(installer: str, would: Sequence[str]) -> Row:
    """One line of the table: what an installer would install."""
    if not would:
        raise RuntimeError(f"{installer} would install nothing")
    return installer, str(len(would)), str(sum(LATER in package for package in would))


def later_releases(scratch: Path) -> Path:
    """A folder with a later release of every package of the lock."""
    folder = scratch / "later"
    if not folder.is_dir():
        folder.mkdir()
        packages = re.findall(r"^([a-z0-9][a-z0-9._-]*)", lock_text(), re.MULTILINE)
        write_later_releases(folder, sorted(set(packages)))
    return folder


def light_install(python: str, scratch: Path) -> Iterator[tuple[str, ...]]:
    """Install the wheel alone, by the lock's versions, and use it where there is nothing else."""
    version = answer([python, "-c", "import platform; print(platform.python_version())"])
    wheels, environment, place = (scratch / f"{name}-{version}" for name in ("wheels", "light", "empty"))
    place.mkdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    pins = scratch / "constraints.txt"
    pins.write_text("\n".join(re.findall(r"^[a-z0-9][^\\\n]*==[^\\\n]*", lock_text(), re.MULTILINE)) + "\n")
    for _ in range(2):  # the second time, pip's cache is warm
        subprocess.run([python, "-m", "venv", "--clear", str(environment)], check=True)
        began = time.perf_counter()
        own = environment / "bin" / "python"
        install = [str(own), "-m", "pip", "install", "--quiet", "--constraint", str(pins), str(wheel)]
        subprocess.run(install, check=True)
        seconds = time.perf_counter() - began
    check = answer([str(own), "-m", "pip", "check"])
    yield version, "installed from a warm cache (s)", f"{seconds:.0f}", "<= 45"
    yield version, "size of the environment (MiB), pip among it", f"{mebibytes(environment):.0f}", "<= 480"
    yield version, "pip check", check, "clean"
    verb = str(own.with_name("stellar-emulator"))
    for words in (
        ["generate", *SUN, "--output", "sun.fits"],
        ["infer", "sun.fits", "--output", "inferred.csv"],
        ["fit", "sun.fits", "--output", "fitted.csv"],
        ["precision", *SUN],
    ):
        done = subprocess.run([*OFFLINE, verb, *words], cwd=place, capture_output=True, text=True, check=False)
        yield version, f"`{words[0]}`{' without a network' if OFFLINE else ''}", f"exit code {done.returncode}", "0"
    explore = [*OFFLINE, verb, "explore", "--port", "0"]
    with subprocess.Popen(explore, cwd=place, stdout=subprocess.PIPE, text=True) as explorer:
        assert explorer.stdout
        yield version, "`explore`", explorer.stdout.readline().split(" in a ")[0], "open http://..."
        explorer.terminate()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([*OFFLINE, str(own), "-c", FIRST], cwd=place, check=True)
        times.append(time.perf_counter() - began)
    yield version, "first spectrum after `python -c` starts (s), median of 5", f"{sorted(times)[2]:.2f}", "<= 1"


def offline() -> list[str]:
    """What runs a command without a network, where this machine allows it."""
    command = ["unshare", "--net"]
    return (
        command if shutil.which("unshare") and subprocess.run([*command, "true"], check=False).returncode == 0 else []
    )


def lock_text() -> str:
    """The lock that comes with this checkout."""
    return (ROOT / "requirements.lock").read_text()


def mebibytes(folder: Path) -> float:
    """Size of a folder on disk in MiB, as ``du -sm`` counts."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 2**20


def answer(command: list[str]) -> str:
    """What a command prints; nothing if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


OFFLINE = offline()

if __name__ == "__main__":
    main()
