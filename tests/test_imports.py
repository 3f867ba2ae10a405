"""Which imports may stand inside functions, and what importing a module may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

HEAVY = {
    "astropy",
    "distributed",
    "great_expectations",
    "h5py",
    "keras",
    "keras_tuner",
    "matplotlib",
    "mlflow",
    "model_signing",
    "onnx",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "specutils",
    "sqlalchemy",
    "tensorflow",
    "tqdm",
    "uvicorn",
}
"""Packages that take long to import, or that an install may lack: whoever needs them may import them late."""

YET_TO_MEND = {"cli/fit.py", "cli/generate.py", "models/pair.py"}
"""Modules that still import ours inside a function; none may be added."""


def imported_in_functions(path: Path) -> set[str]:
    """Packages, of ours and others', that functions of a module import; the standard library's are nobody's concern."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    names = set()
    for node in (node for function in functions for node in ast.walk(function)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("stellar_emulator" if node.level else str(node.module).partition(".")[0])
    return names - sys.stdlib_module_names


def test_functions_import_none_of_our_modules_and_of_others_heavy_ones_alone():
    package = SOURCE / "stellar_emulator"
    found = {str(path.relative_to(package)): imported_in_functions(path) for path in package.rglob("*.py")}
    assert {name: wrong for name, names in found.items() if (wrong := names - HEAVY - {"stellar_emulator"})} == {}
    assert {name for name, names in found.items() if "stellar_emulator" in names} <= YET_TO_MEND


def test_an_import_of_ours_inside_a_function_is_found(tmp_path: Path):
    path = tmp_path / "module.py"
    path.write_text(
        "def f():\n    import json\n    from stellar_emulator.errors import InputError\n    import yaml.nodes\n"
    )
    assert imported_in_functions(path) == {"stellar_emulator", "yaml"}


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("models.emulator", HEAVY),
        ("models.validator", HEAVY),
        ("networks.onnx.jacobian", HEAVY),
        ("saved.bundle", HEAVY),
        ("registry.read", HEAVY),
        ("figures", HEAVY - {"scipy"}),
        ("validation.rules", HEAVY - {"pandas", "scipy", "pyarrow"}),
        ("gate.page", HEAVY - {"pandas", "scipy", "pyarrow"}),
    ],
)
def test_a_module_is_imported_without_what_only_its_functions_need(module: str, spared: set[str]):
    code = f"import sys, stellar_emulator.{module}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & spared == set()
