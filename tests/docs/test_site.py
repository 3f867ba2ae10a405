"""The site of the documentation: its reference is the contract's schema, and a broken link ends its making."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Annotated

import nbformat
import pytest
from pipelines.notebooks import notebooks
from pydantic import BaseModel, Field
from synthetic import ROOT

from stellar_emulator.contract.contract import Contract
from stellar_emulator.gate.decision import Criterion, Decision

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def schema_reference() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))
    import schema_reference

    yield schema_reference
    sys.path.remove(str(DOCS))


class Inner(BaseModel):
    """A part."""

    pair: tuple[float, float] = Field(description="Two.")
    by_name: dict[str, Annotated[float, Field(gt=0)]] = Field(description="Above nothing | or so.")


class Outer(BaseModel):
    """The whole."""

    parts: tuple[Inner, ...] = Field(min_length=1, description="One.")
    share: float = Field(default=0.5, ge=0, lt=1, description="A share.")
    inner: Inner | None = Field(default=None, description="Another.")


def test_type_bounds_default_and_meaning_are_those_of_the_model(schema_reference: ModuleType) -> None:
    outer, inner = schema_reference.reference(Outer).split("\n\n### ")
    assert outer.startswith("### Outer\n\nThe whole.")
    assert "| `parts` | list of [Inner](#inner) | 1 or more | refused | One. |" in outer
    assert "| `share` | number | ≥ 0, < 1 | `0.5` | A share. |" in outer
    assert "| `inner` | [Inner](#inner) |  | none | Another. |" in outer
    assert "| `pair` | [number, number] |  | refused | Two. |" in inner
    assert "| `by_name` | mapping of names to number | > 0 | refused | Above nothing \\| or so. |" in inner


def test_every_field_of_the_contract_says_what_it_means(schema_reference: ModuleType) -> None:
    text = schema_reference.reference(Contract)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert {"`gate`", "`core_mae`", "`run_distance`", "`velocity_step`", "`line_core_half_width`"} <= {
        r[0] for r in rows
    }
    assert len(rows) > 70
    for row in rows:
        assert len(row) == 5, row
        assert len(row[4]) > 3, row
    assert "| any other name | list of number |  |  | Edges of a label's bins, ascending. |" in text
    linked = set(re.findall(r"\]\(#(\w+)\)", text))
    assert linked == {name.lower() for name in re.findall("^### (.*)$", text, re.MULTILINE)} - {"contract"}


def test_the_page_of_decisions_names_every_field() -> None:
    page = (DOCS / "decision.md").read_text()
    named = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall("`(.*?)`", row)}
    named = {name for name in named if "." not in name}  # limits, such as `pixels.box`
    record = Decision((), (), True, 0, {}, {}).to_dict()
    assert named == {*record, *(field.name for field in fields(Criterion)), "verdict"}


def make(folder: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """Make a site of the pages in a folder by the settings of the real one."""
    settings = ["--fail-on-warning", "--quiet", "--conf-dir", str(DOCS)]
    command = [sys.executable, "-m", "sphinx", *settings, str(folder), str(output)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_broken_links_end_the_making(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (tmp_path / "something.yaml").write_text("")
    (pages / "index.md").write_text("# Title\n\n[a](index.md#title) [b](#title) [c](../something.yaml)\n")
    made = make(pages, tmp_path / "good")
    assert made.returncode == 0, made.stderr
    broken = ("page.md", "index.md#nowhere", "#no-title", "../nothing.yaml")
    (pages / "index.md").write_text("# Title\n\n" + "\n".join(f"[a]({link})" for link in broken))
    made = make(pages, tmp_path / "bad")
    assert made.returncode == 1
    warnings = made.stderr.splitlines()
    assert len(warnings) == len(broken)
    for warning, named in zip(warnings, ("page.md", "'nowhere'", "'no-title'", "../nothing.yaml"), strict=True):
        assert named in warning


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("site")
    made = make(DOCS, output)
    assert made.returncode == 0, made.stderr
    return output


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebooks_are_pages_with_the_outputs_that_they_hold(site: Path, path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    page = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    title = cells[0].source.splitlines()[0].removeprefix("# ")
    assert f"<h1>{title}<" in page
    assert title in (site / "index.html").read_text(encoding="utf-8")
    figures = re.findall(r'<img [^>]*src="(\.\./_images/[^"]+)"', page)
    assert len(figures) == sum("image/png" in output.get("data", {}) for output in outputs) > 0
    assert all((site / "notebooks" / figure).is_file() for figure in figures)
    assert page.count('class="output stream') == sum(output.output_type == "stream" for output in outputs) > 0
    assert page.count('class="dataframe"') == sum("text/html" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("page", ["README.md", "models/README.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []
