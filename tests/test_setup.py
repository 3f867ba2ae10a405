import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def dependencies(extra: str | None = None) -> list[Requirement]:
    """What pyproject.toml asks for: always, or with an extra, whose own extras are followed."""
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    if extra is None:
        return [Requirement(line) for line in project["dependencies"]]
    asked = [Requirement(line) for line in project["optional-dependencies"][extra]]
    others = [one for requirement in asked for name in sorted(requirement.extras) for one in dependencies(name)]
    return [requirement for requirement in asked if requirement.name != project["name"]] + others


def group(name: str) -> list[Requirement]:
    return [Requirement(line) for line in tomllib.loads(text_of("pyproject.toml"))["dependency-groups"][name]]


LOCKS = {
    "requirements.lock": [*dependencies(), *dependencies("train"), *dependencies("synthesis"), *group("product")],
    "requirements-test.lock": group("test"),
    "requirements-benchmarks.lock": group("benchmarks"),
}
"""What each lock is asked for."""


def applies(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.0", **LINUX}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pins(python: str, lock: str) -> dict[str, SpecifierSet]:
    """What a lock installs on Linux for one Python; fails where two pins apply at once."""
    found: dict[str, SpecifierSet] = {}
    for requirement in entries(lock):
        if applies(requirement, python):
            assert canonicalize_name(requirement.name) not in found
            found[canonicalize_name(requirement.name)] = requirement.specifier
    return found


def entries(lock: str) -> list[Requirement]:
    lines = [line for line in text_of(lock).splitlines() if re.match("[a-z0-9]", line)]
    return [Requirement(line.removesuffix("\\")) for line in lines]


@pytest.mark.parametrize("python", PYTHONS)
def test_locks_pin_every_dependency_within_its_range(python: str) -> None:
    pinned: dict[str, SpecifierSet] = {}
    for lock, wanted in LOCKS.items():
        new = pins(python, lock)
        assert not new.keys() & pinned.keys()
        pinned |= new
        for requirement in wanted:
            if applies(requirement, python):
                (pin,) = pinned[canonicalize_name(requirement.name)]
                assert pin.operator == "=="
                assert requirement.specifier.contains(pin.version), f"{requirement.name} {pin.version}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_have_hashes_and_no_address(lock: str) -> None:
    text = text_of(lock)
    packages = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\n(?:    --hash=sha256:[0-9a-f]{64})", text, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 20
    assert "make lock" in text.splitlines()[1]
    assert "--only-binary :all:" in text.splitlines()
    assert not re.search(r"://|--index|--find-links|\.(org|com|net|io)/", text)


def test_the_lock_pins_packages_with_the_extras_that_others_ask_for() -> None:
    """Else older pips, which must resolve it for conda, look them up anew: see test_local_index."""
    pinned = {canonicalize_name(entry.name): entry.extras for entry in entries("requirements.lock")}
    for name in pinned.keys() & {canonicalize_name(one.name) for one in distributions()}:
        for line in distribution(name).requires or []:
            asked = Requirement(line)
            if asked.extras and (asked.marker is None or asked.marker.evaluate({"extra": ""})):
                assert asked.extras <= pinned[canonicalize_name(asked.name)], f"{name} asks for {asked}"


def test_conda_installs_the_lock_on_a_python_that_the_project_supports() -> None:
    conda = yaml.safe_load(text_of("conda.yaml"))["dependencies"]
    (python,) = (item.removeprefix("python=") for item in conda if isinstance(item, str) and item.startswith("python="))
    assert SpecifierSet(tomllib.loads(text_of("pyproject.toml"))["project"]["requires-python"]).contains(f"{python}.0")
    assert "pip" in conda  # uv's environments lack it, and synthesize downloads its parts with it
    assert conda[-1] == {"pip": ["-r requirements.lock"]}


def run_start(python: str, *arguments: str, path: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(ROOT / "start.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path, "HOME": "/nonexistent", **variables},
    )


def other_pythons() -> list[str]:
    """Interpreters of this machine that the project does not support."""
    folders = [*os.get_exec_path(), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    names = [f"python3.{minor}" for minor in (6, 7, 8, 9, 10, 14, 15)]
    found = [shutil.which(name, path=folder) for folder in folders for name in names]
    return [
        python for python in found if python and subprocess.call([python, "-c", ""], stderr=subprocess.DEVNULL) == 0
    ]


def assert_refuses_version(done: subprocess.CompletedProcess[str], version: str) -> None:
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    for part in (version, "3.11, 3.12 or 3.13", "python3.13 start.py"):
        assert part in done.stderr


def test_start_refuses_other_pythons(tmp_path: Path) -> None:
    for python in other_pythons():
        version = subprocess.check_output(
            [python, "-c", "import sys; print(sys.version.split()[0])"], text=True
        ).strip()
        assert_refuses_version(run_start(python, "setup", path=str(tmp_path)), version)
    # An interpreter that says it is another one, for machines that have no other; sitecustomize runs first.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.version_info = (3, 14, 0, 'final', 0)\nsys.version = '3.14.0 (fake)'\n"
    )
    assert_refuses_version(run_start(sys.executable, "train", path=str(tmp_path), PYTHONPATH=str(tmp_path)), "3.14.0")


def test_start_passes_over_a_broken_shim(tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 9, 2, 'final', 0)\n")
    done = run_start(sys.executable, "setup", path=str(tmp_path), PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "PATH holds none" in done.stderr


def test_start_names_the_package_that_brings_venv(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError('as on Debian without python3-venv')\n")
    done = run_start(sys.executable, "setup", path=str(tmp_path), PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert f"apt-get install python3.{sys.version_info[1]}-venv" in done.stderr


def test_start_can_be_read_by_the_oldest_python_it_must_refuse() -> None:
    ast.parse(text_of("start.py"), feature_version=(3, 6))


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["setup", "now"],
        ["setup", "test", "tests"],
        ["train", "smoke"],
        ["train", "--preset"],
        ["train", "=smoke"],
    ],
)
def test_start_refuses_bad_arguments_before_any_setup(arguments: list[str], tmp_path: Path) -> None:
    done = run_start(sys.executable, *arguments, path=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def checkout_with(tmp_path: Path, lock: str) -> Path:
    """A copy of what start.py reads, in a folder with a space in its name, with its own lock."""
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    for name in ("start.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    (checkout / "requirements.lock").write_text(lock)
    return checkout


def test_failed_setup_shows_its_log_and_leaves_no_finished_environment(tmp_path: Path) -> None:
    checkout = checkout_with(tmp_path, "nowhere-package @ file:///nonexistent.whl --hash=sha256:" + "0" * 64 + "\n")
    done = subprocess.run([sys.executable, checkout / "start.py", "setup"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "stellar-emulator-setup.log" in done.stderr
    assert "nonexistent.whl" in done.stderr
    assert "Traceback" not in done.stderr.split("it ends:")[0]
    assert not (checkout / ".venv" / "requirements.lock.stamp").exists()


def test_setup_leaves_a_foreign_environment_alone(tmp_path: Path) -> None:
    checkout = checkout_with(tmp_path, "")
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "precious").write_text("mine")
    done = subprocess.run([sys.executable, checkout / "start.py", "setup"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "rename or remove it" in done.stderr
    assert (checkout / ".venv" / "precious").read_text() == "mine"


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_package_index() -> None:
    hosts = re.compile(rb"pypi\.(org|python)|python" + rb"hosted|pypi-" + rb"mirror|/simple/?[\"'\s]")
    own = Path(__file__).resolve()
    guilty = [path.name for path in tracked_files() if path != own and hosts.search(path.read_bytes())]
    assert not guilty
