"""How Sphinx makes the site of these pages: ``make site``."""

import shutil
import sys
from pathlib import Path

from numpy import float32
from numpy.typing import ArrayLike, NDArray
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "src")]

from stellar_emulator.version import VERSION  # noqa: E402

project = "stellar-emulator"
release = VERSION
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "schema_reference", "command_reference"]


# Headings are what links such as grid.md#known-limits name.
myst_heading_anchors = 3

# Notebooks are shown with the outputs that they hold.
nb_execution_mode = "off"

# The pages of `make prove` begin with the heading that their table has among others.
suppress_warnings = ["myst.header"]

# Docstrings write names in single backticks; what is documented here becomes a link, the rest is code.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False

_ALIASES = {"ArrayLike": ArrayLike, "NDArray[float32]": NDArray[float32]}


def setup(app: Sphinx) -> None:
    """Bring the notebooks, and tell Sphinx of the names that types have here."""
    _copy_notebooks()
    app.connect("autodoc-process-signature", _with_aliases)


def _copy_notebooks() -> None:
    """Copy the notebooks among the pages, as Sphinx reads none from elsewhere; their links lead to the pages there."""
    copies = _HERE / "notebooks"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    for notebook in (_HERE.parent / "notebooks").glob("*.ipynb"):
        text = notebook.read_text(encoding="utf-8").replace("](../docs/", "](../")
        (copies / notebook.name).write_text(text, encoding="utf-8")


def _with_aliases(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write NumPy's types as the code does, which Sphinx shows as what they stand for."""
    for alias, kind in _ALIASES.items():
        spelt = stringify_annotation(kind, "smart")
        arguments = arguments and arguments.replace(spelt, alias)
        returns = returns and returns.replace(spelt, alias)
    return arguments, returns
