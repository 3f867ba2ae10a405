"""Pins what each verb of start.py installs: ``make lock``.

Each stage's file holds what the stages before it lack, all of one resolution, so that no package is pinned twice.
A pin that pyproject.toml still allows is kept; to move to the newest releases, delete the lock files first.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]

STAGES = {
    "requirements.lock": ["--extra", "synthesis", "--extra", "train", "--group", "product"],
    "requirements-test.lock": ["--group", "test"],
    "requirements-benchmarks.lock": ["--group", "benchmarks"],
}
"""What each file asks for beyond the files before it, as options of uv."""

UV = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--generate-hashes"]
# Packages asked for with an extra are pinned with it: older pips would look them up anew, as
# tests/benchmarks/test_local_index.py shows.
UV += ["--python-version", "3.11", "--no-strip-extras", "--no-emit-index-url", "--custom-compile-command", "make lock"]
# Wheels alone: building a package would ask the index for what builds it, whichever release it has that day.
UV += ["--only-binary", ":all:", "--emit-build-options"]


def main() -> None:
    """Write all lock files."""
    with TemporaryDirectory() as scratch:
        pins = Path(scratch) / "all.lock"
        pins.write_text("".join((ROOT / name).read_text() for name in STAGES if (ROOT / name).is_file()))
        _compile([option for options in STAGES.values() for option in options], pins)
        _, complete = _parts(pins.read_text())
        wanted: list[str] = []
        before: set[str] = set()
        for name, options in STAGES.items():
            wanted += options
            stage = Path(shutil.copy(pins, Path(scratch) / name))
            _compile(wanted, stage)
            heading, entries = _parts(stage.read_text())
            new = {pin: _asked(entry, complete[pin]) for pin, entry in entries.items() if pin not in before}
            (ROOT / name).write_text(heading + "".join(new.values()))
            before |= new.keys()
            print(f"{name}: {len(new)} pins")


def _compile(options: list[str], output: Path) -> None:
    """Resolve what some options ask for, keeping the pins that ``output`` holds."""
    subprocess.run([*UV, *options, "--output-file", str(output)], cwd=ROOT, check=True)


def _parts(lock: str) -> tuple[str, dict[str, str]]:
    """Comment at the head of a lock file, and its entries by package and version."""
    heading, *entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    return heading, {"".join(_head(entry).group("package", "version")): entry for entry in entries}


def _asked(entry: str, complete: str) -> str:
    """An entry with the extras that its stage asks for, and the markers under which any stage wants it."""
    package, extras, version = _head(entry).group("package", "extras", "version")
    return package + extras + version + complete[_head(complete).end() :]


def _head(entry: str) -> re.Match[str]:
    """Package, extras and version at the beginning of an entry."""
    found = re.match(r"(?P<package>[^\[=]+)(?P<extras>\[.*?\]|)(?P<version>==\S+)", entry)
    assert found, entry
    return found


if __name__ == "__main__":
    main()
