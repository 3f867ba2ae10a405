"""Each room has tests of its own, some of which are fast, and stands in ARCHITECTURE.md, whose files are there."""

import re
from pathlib import Path

import pytest
from slow_files import SLOW
from synthetic import ROOT

TESTS = Path(__file__).parent
ROOMS = sorted(path.name for path in (ROOT / "src" / "stellar_emulator").iterdir() if (path / "__init__.py").is_file())


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_fast_test(room: str) -> None:
    files = {f"{room}/{path.name}" for path in (TESTS / room).glob("test_*.py")}
    assert files - SLOW, f"tests/{room} has no fast test"


def test_the_table_of_rooms_is_complete() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("| room |")[2].partition("\n\n")[0]
    named = {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])}
    assert named == {*ROOMS, "errors", "version"}


def test_files_that_the_architecture_names_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = {name for name in re.findall(r"`([\w/*]+\.(?:py|yaml))`", text) if "/" in name}
    places = (ROOT, ROOT / "src" / "stellar_emulator")
    assert len(named) > 10
    assert [name for name in sorted(named) if not any(list(place.glob(name)) for place in places)] == []


CONCEPTS = {
    "rotation": "rotation",
    "the gate's margins": "gate_limits",
    "reading Gaia's archive": "gaia_archive",
    "the ONNX Jacobian": "onnx/jacobian",
    "the audit chain of decisions": "audit",
    "a label's bounds": "label",
    "the split by run": "split",
    "early stopping": "early_stopping",
    "the HTTP body check": "request_body",
    "the model card": "model_card",
}
"""What strangers look for, and the module whose name says it."""


@pytest.mark.parametrize(("concept", "name"), CONCEPTS.items())
def test_a_concept_is_in_the_one_module_of_its_name(concept: str, name: str) -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("| concept |")[2].partition("\n\n")[0]
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {concept} | ")]
    (file,) = (ROOT / "src" / "stellar_emulator").rglob(f"{name}.py")
    assert f"| `{file.relative_to(ROOT / 'src' / 'stellar_emulator')}`" in row
