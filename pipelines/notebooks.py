"""Executes the notebooks from top to bottom and saves them with what they gave: ``make notebooks``."""

import argparse
import os
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"

SECONDS = 600
"""Of one cell at most."""

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""What a notebook tells of where it was executed: nothing."""


def notebooks() -> list[Path]:
    """All notebooks, in the order in which they are read."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path, folder: Path) -> NotebookNode:
    """Execute a notebook in a kernel of its own that works in ``folder``, and return it with its outputs.

    Settings of the user who runs it are left out, and so are times, machine and Python version.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        # Files instead of ports: nobody else on the machine can talk to the kernel.
        kernel = KernelManager(transport="ipc", connection_file=str(Path(scratch) / "kernel.json"))
        client = NotebookClient(
            notebook, km=kernel, timeout=SECONDS, record_timing=False, resources={"metadata": {"path": str(folder)}}
        )
        client.execute(env=_environment(scratch), cleanup_kc=True)
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
    notebook.metadata = nbformat.from_dict(METADATA)
    nbformat.validate(notebook)
    return notebook


def save(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook as JSON, indented by one blank, with a line break at its end."""
    nbformat.write(notebook, path)


def _environment(scratch: str) -> Mapping[str, str]:
    """This process's, but Jupyter and IPython keep files in ``scratch``, and no user's settings are read."""
    # Matplotlib's list of fonts is made here if there is none: where that takes long, it warns.
    import_module("matplotlib.font_manager")
    settings = Path(scratch) / "matplotlibrc"
    settings.touch()
    places = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
    private = {name: str(Path(scratch) / name.lower()) for name in places}
    return {**os.environ, **private, "MATPLOTLIBRC": str(settings)}


def main() -> None:
    """Execute and save the notebooks named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", type=Path, nargs="*", default=notebooks(), help="files (default: all)")
    for path in parser.parse_args().notebooks:
        print(path.name, flush=True)
        save(executed(path, FOLDER), path)


if __name__ == "__main__":
    main()
