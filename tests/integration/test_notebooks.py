"""The notebooks run from top to bottom, say what they promise, and leave nothing behind."""

import re
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from pipelines.notebooks import METADATA, executed, notebooks
from synthetic import ROOT

NAMES = [path.stem for path in notebooks()]

CHECKS = {
    "1_first_spectra": """
wanted = contract.columns(contract.accuracy_labels)
assert (np.abs(table["inferred"] - table["given"]) < 4 * table["error in tests"]).iloc[wanted].all()
assert np.abs(read[:, 0] - drawn[:, 0]).mean() < 300
""",
    "2_your_own_grid": """
assert np.abs(generated - computed).mean() < 3e-3
spans = np.array([2000.0, 1.5, 60.0])
assert (np.abs(read["from generated"] - read["given"]) < 0.15 * spans).all()
""",
    "3_reproduce_the_paper": """
from stellar_emulator.evaluation.accuracy import ratios
found = ratios(contract, evaluation.accuracy)
assert len(found) == 5 and max(found.values()) < 1.5
assert errors[counts.index(15)] < 0.5
assert row["mae"] < 0.01
""",
    "4_challenger_to_champion": """
assert decision["outcome"] == "promoted"
assert decision["before"]["champion"] == {"emulator": 1, "validator": 1}
""",
    "5_a_survey": """
assert list(found["source_id"]) == list(truth["source_id"])
assert (pulls < 2.0).all()
assert (moves & truth.binary).sum() > 0.6 * truth.binary.sum()
assert (moves & ~truth.binary).sum() <= 0.1 * STARS
""",
}
"""Run after the last cell, with the names that the notebook has left."""

SMALLER = {
    "2_your_own_grid": {
        "random.uniform(5000, 7000, 300)": "random.uniform(5000, 7000, 150)",
        "random.uniform(-1.0, 0.5, 300)": "random.uniform(-1.0, 0.5, 150)",
        "random.uniform(0, 60, 1200)": "random.uniform(0, 60, 600)",
        "epochs: 100, patience: 100": "epochs: 50, patience: 50",
    },
    "3_reproduce_the_paper": {
        "split[part][:40]": "split[part][:25]",
        "np.arange(300)": "np.arange(150)",
        "epochs: 15, patience: 15}}": "epochs: 8, patience: 8}}",
        "epochs: 40, patience: 40": "epochs: 20, patience: 20",
    },
    "5_a_survey": {"STARS = 1000": "STARS = 40"},
}
"""What is smaller where a test executes a notebook; with the sizes that it states, `make notebooks` has."""

BEFORE = {
    "4_challenger_to_champion": """
from stellar_emulator.networks import preset

_stated = preset.read_preset


def _with_quick_judges(name):
    found = _stated(name)
    if name != "default":
        return found
    training = found.validator.training.model_copy(update={"epochs": 12, "patience": 12, "batch_size": 32})
    return found.model_copy(update={"validator": found.validator.model_copy(update={"training": training})})


preset.read_preset = _with_quick_judges
"""
}
"""Run before the first cell: judges that make as many steps on a small grid as those of the preset `default`, in fewer
epochs, whose number is what their training takes."""

SAID = {
    "1_first_spectra": ["teff = 16000 K in row 0 lies outside 3600 to 15000 K"],
    "2_your_own_grid": [
        "row 17",
        "exit code 1",
        "registered models:/my-emulator/1",
        "teff = 4500 K in row 0 lies outside 5000 to 7000 K",
    ],
    "3_reproduce_the_paper": ["vmicro (km/s)", "paper, another grid", "dead latent values of 10"],
    "4_challenger_to_champion": [
        "emulator 1 with validator 1 is champion now; before it: none",
        "emulator 2 with validator 2 is champion now; before it: emulator 1 with validator 1",
        "emulator 1 with validator 1 is refused",
        "emulator 1 with validator 1 is champion again, instead of emulator 2 with validator 2",
        "(line core too shallow)",
        "4 decisions, each as it was written",
        "its decision.json was changed",
    ],
    "5_a_survey": [
        "monitor: labels/_monitor.html",
        "median_reduced_chi_square",
        "scatter over the stated errors (1 is right)",
    ],
}
"""Lines that a notebook prints, as it stands in the repository and when it is executed."""


MACHINE = re.compile(r"(?<![\w.])/(tmp|home|root|usr|var|opt|Users)/|site-packages|0x[0-9a-f]{8}")
"""What tells of the machine or the process that executed a notebook."""


def texts(notebook: NotebookNode) -> str:
    """What the cells printed or showed as text, HTML too."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [text for output in outputs for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join([output.text for output in outputs if output.output_type == "stream"] + shown)


def assert_sound(notebook: NotebookNode, name: str) -> None:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    said = texts(notebook)
    for words in SAID[name]:
        assert words in said
    assert not MACHINE.search(said)
    assert notebook.metadata == METADATA


def test_they_are_numbered_without_a_gap() -> None:
    assert [int(name.partition("_")[0]) for name in NAMES] == list(range(1, len(NAMES) + 1))
    assert set(NAMES) == set(CHECKS) == set(SAID)


@pytest.mark.parametrize("path", notebooks(), ids=NAMES)
def test_what_the_repository_holds_came_from_one_run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert_sound(notebook, path.stem)


@pytest.mark.parametrize("path", notebooks(), ids=NAMES)
def test_it_runs_from_either_folder_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    notebook, before = nbformat.read(path, as_version=4), untracked()
    make_smaller(notebook, SMALLER.get(path.stem, {}))
    notebook.cells.insert(0, nbformat.v4.new_code_cell(BEFORE.get(path.stem, "")))
    notebook.cells.append(nbformat.v4.new_code_cell(CHECKS[path.stem]))
    checked = tmp_path / path.name
    nbformat.write(notebook, checked)
    assert_sound(executed(checked, ROOT if NAMES.index(path.stem) % 2 else path.parent), path.stem)
    assert untracked() == before


def make_smaller(notebook: NotebookNode, changes: dict[str, str]) -> None:
    for stated, smaller in changes.items():
        (cell,) = (cell for cell in notebook.cells if stated in cell.source)
        cell.source = cell.source.replace(stated, smaller)


def untracked() -> set[str]:
    """Files of the checkout that git does not track, ignored ones too, but for what Python and other tests leave."""
    command = ["git", "status", "--porcelain", "--ignored", "--untracked-files=all"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    left = ("__pycache__", ".pytest_cache", ".hypothesis", ".egg-info")
    return {line for line in found if not any(name in line for name in left)}
