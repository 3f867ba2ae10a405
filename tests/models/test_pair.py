"""What a user calls a model: every way of naming it, for every verb and both classes, gives the same pair."""

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from fresh_store import fresh_store
from synthetic import GAIA
from workplace import working_in

from stars import SUN, pair_folder
from stellar_emulator import Emulator, Validator
from stellar_emulator.cli import main
from stellar_emulator.errors import InputError
from stellar_emulator.models.pair import find_model, find_pair
from stellar_emulator.promotion.candidates import choose
from stellar_emulator.promotion.champion import PairVersions
from stellar_emulator.registry import register, tracking
from stellar_emulator.saved.bundle import read_bundle, read_network, save_emulator, save_validator
from stellar_emulator.shipped.resources import DEFAULT

LABELS = [word for name, value in SUN.items() for word in (f"--{name}", str(value))]
EMULATOR, VALIDATOR = GAIA.models.emulator, GAIA.models.validator


@dataclass(frozen=True)
class World:
    """A folder with a registry; digests of emulator and validator, of the champion pair and of the newest one."""

    folder: Path
    run: str
    champion: tuple[str, str]
    newest: tuple[str, str]


def saved(folder: Path, seed: int) -> Path:
    """The stars' pair again, with another digest."""
    save: Any
    for kind, save in (("emulator", save_emulator), ("validator", save_validator)):
        bundle = read_bundle(pair_folder() / kind)
        save(folder / kind, read_network(bundle), GAIA, {**bundle.metadata, "seed": seed}, bundle.measured)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two pairs, the first a champion; and the newest validator is of neither."""
    folder = tmp_path_factory.mktemp("world")
    with working_in(folder, fresh_store(folder)):
        with tracking.start_run("train") as run:
            for seed in (1, 2):
                pair = saved(folder / f"pair{seed}", seed)
                register.register_validator(pair / "validator", {})
                register.register_emulator(pair / "emulator", {"validator_version": str(seed)})
            register.register_validator(saved(folder / "stray", 3) / "validator", {})
        client = mlflow.MlflowClient()
        client.set_registered_model_alias(EMULATOR, "champion", "1")
        # As a crash in the midst of a promotion leaves it: the emulator's alias is the one that counts.
        client.set_registered_model_alias(VALIDATOR, "champion", "3")
        digests = [
            (
                read_bundle(folder / f"pair{n}" / "emulator").digest,
                read_bundle(folder / f"pair{n}" / "validator").digest,
            )
            for n in (1, 2)
        ]
        yield World(folder, run.run_id, *digests)


def shipped(world: World) -> tuple[str, str]:
    return Emulator.load().digest, Validator.load().digest


Digests = Callable[[World], tuple[str, str]]

WAYS: dict[str, tuple[Callable[[World], str], Digests]] = {
    "shipped name": (lambda _: DEFAULT, shipped),
    "folder of a pair": (lambda w: str(w.folder / "pair1"), lambda w: w.champion),
    "relative folder of a pair": (lambda _: "pair1", lambda w: w.champion),
    "folder of a model": (lambda w: str(w.folder / "pair1" / "emulator"), lambda w: w.champion),
    "registered name": (lambda _: EMULATOR, lambda w: w.champion),
    "alias": (lambda _: "champion", lambda w: w.champion),
    "version": (lambda _: "2", lambda w: w.newest),
    "latest": (lambda _: "latest", lambda w: w.newest),
    "address by alias": (lambda _: f"models:/{EMULATOR}@champion", lambda w: w.champion),
    "address by version": (lambda _: f"models:/{EMULATOR}/2", lambda w: w.newest),
    "address of a run's model": (lambda w: f"runs:/{w.run}/{EMULATOR}", lambda w: w.newest),
}


@pytest.fixture(params=WAYS)
def named(request: pytest.FixtureRequest, world: World) -> SimpleNamespace:
    name, expected = WAYS[request.param]
    emulator, validator = expected(world)
    return SimpleNamespace(how=request.param, name=name(world), emulator=emulator, validator=validator)


@pytest.fixture
def seen(world: World) -> Path:
    """A spectrum to infer labels from."""
    path = world.folder / "sun.fits"
    assert main(["generate", str(world.folder / "pair1"), *LABELS, "--output", str(path)]) == 0
    return path


class StoppedError(InputError):
    """Ends a verb once its models are known."""


def recorded(patch: pytest.MonkeyPatch, target: str) -> list[tuple[Any, ...]]:
    """Let a function note what it is called with, and end the verb."""
    calls: list[tuple[Any, ...]] = []

    def note(*arguments: Any, **_: Any) -> None:
        calls.append(arguments)
        raise StoppedError("stopped by the test")

    patch.setattr(target, note)
    return calls


def test_generate(named: SimpleNamespace, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", named.name, *LABELS, "--output", str(tmp_path / "one.csv")]) == 0
    assert f"by {EMULATOR} {named.emulator[:12]}" in capsys.readouterr().out


def test_precision(named: SimpleNamespace, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["precision", "--model", named.name, *LABELS]) == 0
    calls = recorded(monkeypatch, "stellar_emulator.cli.precision.precision")
    assert main(["precision", "--model", named.name, *LABELS]) == 2
    assert calls[0][0].digest == named.emulator


@pytest.mark.parametrize("verb", ["infer", "fit"])
def test_infer_and_fit(verb: str, named: SimpleNamespace, seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, f"stellar_emulator.cli.{verb}.treatment")
    pairs: list[Any] = []
    monkeypatch.setattr("stellar_emulator.cli.observations.library", lambda emulator: pairs.append(emulator))
    loaded: list[Any] = []

    def noted(*pair: Any) -> Loaded:
        loaded.append(pair)
        return Loaded(*pair)

    monkeypatch.setattr("stellar_emulator.cli.observations.Pair", noted)
    assert main([verb, str(seen), "--model", named.name]) == 2
    ((emulator, validator, _),) = loaded
    assert (emulator.digest, validator.digest) == (named.emulator, named.validator)
    assert calls


@dataclass(frozen=True)
class Loaded:
    emulator: Emulator
    validator: Validator
    library: None


@pytest.mark.parametrize("verb", ["infer", "fit"])
def test_the_champion_reads_labels(
    verb: str, world: World, seen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "champion", "--medium", "air", "--snr", "100", "--output", str(tmp_path / "labels.ecsv")]
    assert main([verb, str(seen), *words]) == 0, capsys.readouterr().err
    assert f"{EMULATOR} {world.champion[0][:12]}" in (tmp_path / "labels.ecsv").read_text()


def test_explore(named: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, "stellar_emulator.cli.explore.explorer_app")
    assert main(["explore", named.name, "--port", "0"]) == 2
    ((emulator, validator),) = calls
    assert (emulator.digest, validator.digest) == (named.emulator, named.validator)


def test_serve(named: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, "stellar_emulator.cli.serve.scoring_app")
    assert main(["serve", named.name, "--port", "0"]) == 2
    ((model,),) = calls
    assert model.digest == named.emulator


def test_evaluate(named: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, "stellar_emulator.cli.evaluate.require_same_contract")
    assert main(["evaluate", "--emulator", named.name]) == 2
    ((_, emulator, validator),) = calls
    assert (emulator.digest, validator.digest) == (named.emulator, named.validator)


def test_both_classes(named: SimpleNamespace) -> None:
    assert Emulator.load(named.name).digest == named.emulator
    if named.how in ("version", "latest"):
        own = {"version": "2", "latest": "3"}[named.how]
        assert Validator.load(named.name).digest == Validator.load(f"models:/{VALIDATOR}/{own}").digest
        return
    if "address" in named.how or named.how in ("registered name", "folder of a model"):
        with pytest.raises(InputError, match="holds a model of kind emulator, not validator"):
            Validator.load(named.name)
        return
    assert Validator.load(named.name).digest == named.validator


def test_lent_networks(named: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    from stellar_emulator.cli import train

    calls = recorded(monkeypatch, "stellar_emulator.cli.train.read_network")
    with contextlib.suppress(StoppedError):
        train._lent(SimpleNamespace(networks=named.name, contract=DEFAULT), GAIA, [])  # type: ignore[arg-type]
    ((lender,),) = calls
    assert lender.digest == named.emulator


def test_promote_judges_registered_versions_alone(named: SimpleNamespace) -> None:
    if named.how == "shipped name" or "folder" in named.how:
        with pytest.raises(InputError, match=r"is no version of the registered model .*: give latest"):
            choose(GAIA.models, named.name, "paired")
        return
    number = 1 if "champion" in named.name or named.name == EMULATOR else 2
    assert choose(GAIA.models, named.name, "paired") == PairVersions(number, number)


def test_promote_moves_aliases_of_the_contract_s_model_alone(world: World) -> None:
    for name in (f"models:/{VALIDATOR}/1", f"runs:/{world.run}/{VALIDATOR}", f"runs:/{world.run}/nebula"):
        with pytest.raises(InputError, match=f"is no version of {EMULATOR}, the registered model of this contract"):
            choose(GAIA.models, name, "paired")


def test_a_validator_of_its_own(world: World) -> None:
    for name, seed in ((VALIDATOR, 3), ("latest", 3), ("1", 1), (f"models:/{VALIDATOR}/2", 2), ("stray/validator", 3)):
        assert Validator.load(find_pair("champion", name)[1]).metadata["seed"] == seed


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "no emulator is named: give gaia_dr3_rvs, gaia_rvs (with the package), a folder"),
        ("best", f"model {EMULATOR} has no version or alias 'best' in "),
        ("99", f"model {EMULATOR} has no version or alias '99' in "),
        ("models:/nebula/1", "no model nebula is registered in"),
        ("models:/nebula", "models:/nebula is no address of a registered model: give models:/NAME/3"),
        ("runs:/0a/nebula", "runs:/0a/nebula can't be fetched"),
        ("empty", "empty is no model's folder: model.json is missing"),
        ("a" * 300, "is no model's folder and no model of that name comes with this package"),
        ("nul\0", "is no model's folder and no model of that name comes with this package"),
        (VALIDATOR, "holds a model of kind validator, not emulator"),
    ],
)
def test_what_is_no_model_is_said_in_one_line(name: str, said: str, world: World) -> None:
    (world.folder / "empty").mkdir(exist_ok=True)
    with pytest.raises(InputError) as refused:
        Emulator.load(name)
    assert said in " ".join(str(refused.value).split())


def test_a_validator_where_an_emulator_is_wanted_and_a_model_without_a_partner(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a validator, and an emulator is wanted"):
        find_pair(VALIDATOR)
    shutil.copytree(pair_folder() / "emulator", tmp_path / "alone")
    with pytest.raises(InputError, match="alone has no validator beside it: give a pair's folder"):
        find_pair(tmp_path / "alone")
    mlflow.MlflowClient().set_model_version_tag(EMULATOR, "2", "validator_version", "best")
    for choice in (lambda: find_pair("2"), lambda: choose(GAIA.models, "2", "paired")):
        with pytest.raises(InputError, match="version 2 names no validator: give one with --validator"):
            choice()
    mlflow.MlflowClient().set_model_version_tag(EMULATOR, "2", "validator_version", "2")


def test_a_name_that_nothing_has_is_told_all_that_there_is(world: World) -> None:
    for kind, has in (("emulator", "1, 2, champion"), ("validator", "1, 2, 3, champion")):
        with pytest.raises(InputError) as refused:
            find_model("nosuch", kind)  # type: ignore[arg-type]
        said = str(refused.value)
        assert said.startswith("nosuch is no model's folder and no model of that name comes with this package (it has ")
        assert "gaia_dr3_rvs, gaia_rvs)" in said
        assert f"it has {has}; registered there: {EMULATOR}, {VALIDATOR}" in said


def test_a_validator_that_is_gone_is_told_as_the_emulator_names_it(world: World) -> None:
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(EMULATOR, "lonely", "2")
    client.set_model_version_tag(EMULATOR, "2", "validator_version", "9")
    try:
        for find in (find_pair, lambda name: find_model(name, "validator")):
            with pytest.raises(InputError) as refused:
                find("lonely")
            assert str(refused.value).startswith(
                f"{EMULATOR} version 2 names version 9 of {VALIDATOR} as its validator, but model {VALIDATOR} has no "
                "version or alias '9' in "
            )
    finally:
        client.set_model_version_tag(EMULATOR, "2", "validator_version", "2")
        client.delete_registered_model_alias(EMULATOR, "lonely")


def test_the_folder_one_stands_in_is_a_model_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder / "pair1" / "emulator")
    found = [read_bundle(folder).digest for folder in find_pair(".")]
    assert tuple(found) == world.champion
    monkeypatch.chdir(world.folder / "pair1")
    assert [read_bundle(folder).digest for folder in find_pair(Path())] == found


def test_a_folder_without_a_model_hides_no_registered_one(world: World) -> None:
    (world.folder / EMULATOR).mkdir()
    assert Emulator.load(world.folder / "pair2").digest == world.newest[0]
    assert Emulator.load("./pair2").digest == world.newest[0]
    with pytest.raises(InputError, match=r"model\.json is missing"):
        Emulator.load(f"./{EMULATOR}")
    assert Emulator.load(EMULATOR).digest == world.champion[0]
    (world.folder / EMULATOR).rmdir()


NOWHERE = "no model stellar-emulator is registered in sqlite:///mlflow.db: train one, or set MLFLOW_TRACKING_URI"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["generate", "nosuch", *LABELS],
            "nosuch is no model's folder and no model of that name comes with this package (it has gaia_dr3_rvs, "
            "gaia_rvs): give a folder, such as output/train/models, or an address, such as "
            "models:/stellar-emulator@champion; no model is registered in sqlite:///mlflow.db",
        ),
        (["generate", "champion", *LABELS], NOWHERE),
        (["generate", "models:/stellar-emulator/1", *LABELS], NOWHERE),
        (["generate", "runs:/0a/stellar-emulator", *LABELS], NOWHERE),
        (["fit", "sun.csv", "--model", "latest"], NOWHERE),
        (["infer", "sun.csv", "--model", "3"], NOWHERE),
        (["explore", "champion", "--port", "0"], NOWHERE),
        (["serve", "--port", "0"], NOWHERE),
        (["precision", "--model", "champion", *LABELS], NOWHERE),
        (["evaluate"], NOWHERE),
        (["history"], NOWHERE),
    ],
)
def test_looking_makes_no_store(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: False)
    assert main(words) == 2
    assert capsys.readouterr().err == f"stellar-emulator: error: {said}\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"output"}


def test_a_command_without_mlflow_says_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[:2] == ["stellar_emulator", "registry"]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert main(["generate", "nosuch", *LABELS, "--output", str(tmp_path / "one.csv")]) == 2
    said = capsys.readouterr().err
    assert "nosuch is no model's folder and no model of that name comes with this package (it has gaia_dr3_rvs" in said
    assert "the registry can't be asked: the Python package mlflow is missing" in said
    assert main(["generate", "champion", *LABELS, "--output", str(tmp_path / "one.csv")]) == 3
