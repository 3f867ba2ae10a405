"""A registered model as a whole: whatever is changed in it, beside its own folder too, is refused by name."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from keys import key_files
from synthetic import ROOT
from tiny_models import tiny_emulator

from stellar_emulator import Emulator
from stellar_emulator.errors import InputError
from stellar_emulator.models.pair import find_model
from stellar_emulator.registry import read, register
from stellar_emulator.saved.own_files import LIST, PUBLIC_KEY, SIGNATURE, before_import, write_list
from stellar_emulator.saved.sealing import require_sealed
from stellar_emulator.saved.signing import SIGNING_KEY, sign

NAME = "tiny-emulator"

Attack = Callable[[Path], None]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return key_files(tmp_path_factory.mktemp("keys"), "team")


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, keys: tuple[str, str]) -> Iterator[Path]:
    """Folder, in a store of its own, of a signed emulator that was registered as training does it."""
    folder = tmp_path_factory.mktemp("store")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SIGNING_KEY, keys[0])
        tiny_emulator(folder / "emulator")
        register.register_emulator(folder / "emulator", {})
    yield read.resolve(NAME, "1").parents[1]
    mlflow.set_tracking_uri("")


@pytest.fixture
def model(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same in its place, put back as it was when a test has altered it."""
    monkeypatch.setattr("stellar_emulator.saved.sealing._PAUSE", 0.0)
    shutil.copytree(registered, tmp_path / "kept", symlinks=True)
    yield registered
    shutil.rmtree(registered)
    shutil.copytree(tmp_path / "kept", registered)


def edited(name: str) -> Attack:
    def attack(model: Path) -> None:
        assert (model / name).is_file()
        (model / name).write_text((model / name).read_text() + "\n# edited\n")

    return attack


def added(name: str) -> Attack:
    def attack(model: Path) -> None:
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text("import os\n")

    return attack


def removed(name: str) -> Attack:
    return lambda model: (model / name).unlink()


def linked(name: str) -> Attack:
    def attack(model: Path) -> None:
        (model / name).rename(model.parent / "moved")
        (model / name).symlink_to(model.parent / "moved")

    return attack


ATTACKS: dict[str, Attack] = {
    "code/stellar_emulator/models/emulator.py": edited("code/stellar_emulator/models/emulator.py"),
    "code/stellar_emulator/__init__.py": edited("code/stellar_emulator/__init__.py"),
    "emulator_model.py": edited("emulator_model.py"),
    "own_files.py": edited("own_files.py"),
    "MLmodel": edited("MLmodel"),
    "conda.yaml": edited("conda.yaml"),
    "python_env.yaml": edited("python_env.yaml"),
    "requirements.txt": edited("requirements.txt"),
    "input_example.json": edited("input_example.json"),
    "code/numpy.py": added("code/numpy.py"),
    "code/stellar_emulator/__pycache__": added("code/stellar_emulator/__pycache__/errors.cpython-312.pyc"),
    "__pycache__": added("__pycache__/emulator_model.cpython-312.pyc"),
    ".gitignore": added(".gitignore"),
    "code/.git": added("code/.git/hooks/post-checkout"),
    "empty": lambda model: (model / "empty").mkdir(),
    "artifacts/other": added("artifacts/other/weights.bin"),
    "code/stellar_emulator/errors.py": removed("code/stellar_emulator/errors.py"),
    "conda.yaml is missing": removed("conda.yaml"),
    "requirements.txt is no file": linked("requirements.txt"),
    LIST: removed(LIST),
}
"""Each attack by what the refusal names."""


@pytest.mark.parametrize("signed", ["signed", "unsigned"])
@pytest.mark.parametrize("named", ATTACKS)
def test_what_was_altered_is_named(
    named: str, signed: str, model: Path, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if signed == "signed":
        monkeypatch.setenv(PUBLIC_KEY, keys[1])
    Emulator.load(f"models:/{NAME}/1")  # the control
    ATTACKS[named](model)
    with pytest.raises(InputError, match=f"{model / named}".replace(".", r"\.")):
        read.resolve(NAME, "1")
    if named == LIST and signed == "unsigned":  # a folder alone does not tell that it had a list; its registry does
        return
    monkeypatch.chdir(model.parent)
    for path in (model / "artifacts" / "emulator", Path("artifacts", "artifacts", "emulator")):
        with pytest.raises(InputError, match=named.split(" ")[0].replace(".", r"\.")):
            Emulator.load(path)


def test_whoever_rewrites_the_list_too_is_found_out_by_tag_and_signature(
    model: Path, keys: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited("code/stellar_emulator/errors.py")(model)
    (model / LIST).unlink()
    (model / "registered_model_meta").unlink(missing_ok=True)
    shutil.move(model / SIGNATURE, tmp_path / SIGNATURE)
    digest = write_list(model)
    shutil.move(tmp_path / SIGNATURE, model / SIGNATURE)
    require_sealed(model)  # consistent in itself
    with pytest.raises(InputError, match=rf"{LIST} was changed after it was registered"):
        read.resolve(NAME, "1")
    monkeypatch.setenv(PUBLIC_KEY, keys[1])
    with pytest.raises(InputError, match=r"does not bear the signature of .*errors\.py"):
        require_sealed(model, digest)
    (model / SIGNATURE).unlink()
    monkeypatch.setenv(SIGNING_KEY, key_files(tmp_path, "forger")[0])
    sign(model)
    with pytest.raises(InputError, match=r"does not bear the signature of .*team\.pub"):
        require_sealed(model, digest)


def loaded_by_mlflow(*where: Path | str, place: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A fresh process that has the package from nowhere but the model, and writes bytecode as Python does."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    variables |= {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "MLFLOW_DISABLE_TELEMETRY": "true"}
    code = (
        "import mlflow, sys\n"
        "class Elsewhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'stellar_emulator' and not sys.path[0].endswith('code'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Elsewhere())\n"
        "for where in sys.argv[1:]:\n"
        "    model = mlflow.pyfunc.load_model(where)\n"
        "    print(model.predict(model.input_example).shape, sys.modules['stellar_emulator'].__file__)\n"
    )
    command = [sys.executable, "-c", code, *map(str, where)]
    return subprocess.run(command, cwd=place, env=kept | variables, capture_output=True, text=True, check=False)


def test_mlflow_loads_it_by_every_path_and_leaves_no_bytecode(model: Path, keys: tuple[str, str]) -> None:
    ways = (os.path.relpath(model, model.parents[1]), model, f"models:/{NAME}/1")
    done = loaded_by_mlflow(*ways, place=model.parents[1], **{PUBLIC_KEY: keys[1]})
    assert done.returncode == 0, done.stderr
    assert [line.split(") ") for line in done.stdout.splitlines()] == [
        ["(1, 777", str(model / "code" / "stellar_emulator" / "__init__.py")]
    ] * len(ways)
    assert not list(model.rglob("__pycache__"))
    require_sealed(model)


@pytest.mark.parametrize("listed", ["not listed", "listed"])
def test_mlflow_runs_no_code_of_the_package_that_was_edited(
    listed: str, model: Path, keys: tuple[str, str], tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    package = model / "code" / "stellar_emulator" / "__init__.py"
    package.write_text(f"open({str(ran)!r}, 'w').close()\n" + package.read_text())
    if listed == "listed":
        false = model / "code" / "model_signing" / "verifying.py"  # a verifier that verifies nothing
        false.parent.mkdir()
        for file in (false, false.with_name("hashing.py"), false.with_name("__init__.py")):
            file.write_text(f"open({str(ran)!r}, 'w').close()\n")
        files = {"files": {}} | json.loads((model / LIST).read_text())
        (model / LIST).write_text(json.dumps(files))
        restate(model)
    done = loaded_by_mlflow(model, place=tmp_path, **{PUBLIC_KEY: keys[1]})
    assert done.returncode == 1
    assert "__init__.py" in done.stderr
    assert not ran.exists()


def restate(model: Path) -> None:
    """Make the list say what lies there, as somebody who can write there would."""
    kept = {
        name: (model / name).read_bytes() for name in (SIGNATURE, "registered_model_meta") if (model / name).exists()
    }
    for name in (*kept, LIST):
        (model / name).unlink(missing_ok=True)
    write_list(model)
    for name, content in kept.items():
        (model / name).write_bytes(content)


def test_the_guard_is_the_one_of_this_version(model: Path) -> None:
    source = Path(before_import.__code__.co_filename)
    assert (model / "own_files.py").read_bytes() == source.read_bytes()
    assert source.is_relative_to(ROOT / "src")


def test_a_whole_copy_for_mlflow_is_verified(model: Path, tmp_path: Path) -> None:
    copy = read.fetch_whole(f"models:/{NAME}/1", tmp_path / "copy")
    assert copy.is_relative_to(tmp_path)
    assert (copy / "MLmodel").is_file()
    assert find_model(str(copy / "artifacts"), "emulator") == copy / "artifacts" / "emulator"
    edited("MLmodel")(model)
    with pytest.raises(InputError, match="MLmodel was changed"):
        read.fetch_whole(f"models:/{NAME}/1", tmp_path / "another")


def test_bytecode_that_mlflow_is_about_to_remove_is_waited_for(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added("__pycache__/emulator_model.cpython-312.pyc")(model)
    monkeypatch.setattr("stellar_emulator.saved.sealing.time.sleep", lambda pause: shutil.rmtree(model / "__pycache__"))
    require_sealed(model)
