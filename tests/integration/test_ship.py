"""Champions leave the registry: copies of remote ones are kept, and a pair is put where it comes with the package."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from fresh_store import fresh_store
from synthetic import TINY, synthetic_rows
from tiny_models import ROW, tiny_emulator, tiny_validator
from workplace import working_in

from stellar_emulator import Emulator, Validator
from stellar_emulator.cli.ship import ship
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.measured import emulator_measures, validator_measures
from stellar_emulator.models import pair as find
from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork
from stellar_emulator.promotion.audit import HEAD, append, following
from stellar_emulator.registry import read, register
from stellar_emulator.saved.bundle import read_network, save_emulator, save_validator

ROWS = synthetic_rows(TINY, 4)


def measured_pair(folder: Path) -> None:
    """The tiny pair, as `train` would save it."""
    tiny_emulator(folder / "emulator")
    tiny_validator(folder / "validator")
    emulator, validator = read_network(folder / "emulator"), read_network(folder / "validator")
    assert isinstance(emulator, EmulatorNetwork)
    assert isinstance(validator, ValidatorNetwork)
    flux = emulator(ROWS.labels)
    kernel = validator.projection.layers[0].kernel
    save_emulator(folder / "emulator", emulator, TINY, {}, emulator_measures(TINY, ROWS.labels, ROWS.flux, flux))
    measured = validator_measures(TINY, validator, flux.mean(axis=0), kernel, ROWS.labels, ROWS.flux)
    save_validator(folder / "validator", validator, TINY, {}, measured)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder, the process's own, whose registry has a champion pair with siblings and a decision."""
    folder = tmp_path_factory.mktemp("store")
    with working_in(folder, fresh_store(folder)):
        measured_pair(folder)
        shutil.copytree(folder / "validator", folder / "sibling")
        validator = register.register_validator(folder / "validator", {}, [folder / "sibling"])
        with mlflow.start_run() as run:
            mlflow.log_text("<html>", "decision.html")
            mlflow.log_text("# The pair\n\n## Figures\n\n![one](figures/one.png)\n", "model_card.md")
            run_id = run.info.run_id
            tags = {"validator_version": str(validator.version), "run_id": run_id}
            register.register_emulator(folder / "emulator", tags)
            after = {"champion": {"emulator": 1, "validator": 1}, "previous": None}
            record = {"kind": "promotion", **following([]), "outcome": "promoted", "before": {}, "after": after}
            append(TINY.models.emulator, run_id, {**record, "before": {"champion": None, "previous": None}})
        (folder / "run").write_text(run.info.run_id)
        mlflow.MlflowClient().set_registered_model_alias(TINY.models.emulator, "champion", "1")
        yield folder


def test_every_address_leads_to_the_same_model(store: Path) -> None:
    expected = Emulator.load(store / "emulator").digest
    run = (store / "run").read_text()
    for address in ("models:/tiny-emulator@champion", "models:/tiny-emulator/1", f"runs:/{run}/tiny-emulator", store):
        assert Emulator.load(address).digest == expected
    with pytest.raises(InputError, match="holds a model of kind emulator, not validator"):
        Validator.load("models:/tiny-emulator/1")
    with pytest.raises(InputError, match="runs:/nothing/here can't be fetched"):
        Emulator.load("runs:/nothing/here")


def test_remote_models_are_downloaded_once(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a store that is taken for a remote one: its files vanish after the first use."""
    monkeypatch.setattr(read, "REMOTE", ("sqlite:",))
    monkeypatch.setenv("STELLAR_EMULATOR_CACHE", str(tmp_path / "cache"))
    address, flux = "models:/tiny-emulator@champion", Emulator.load(store)(ROW)
    np.testing.assert_array_equal(Emulator.load(address)(ROW), flux)
    first = read.resolve_judges("tiny-label-validator", "latest")
    assert len(first) == 2
    hidden = shutil.move(store / "mlruns", store / "gone")
    try:
        np.testing.assert_array_equal(Emulator.load(address)(ROW), flux)
        assert read.resolve_judges("tiny-label-validator", "latest") == first
        kept = tmp_path / "cache" / "models" / Emulator.load(store).digest
        assert Emulator.load(address).bundle.folder == kept
        (kept / "model.onnx").write_bytes(b"damaged")
        with pytest.raises(InputError, match="can't be fetched"):
            Emulator.load(address)
    finally:
        shutil.move(hidden, store / "mlruns")
    np.testing.assert_array_equal(Emulator.load(address)(ROW), flux)


def test_the_champion_pair_is_shipped_with_its_decision(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "an older file").write_text("")
    pair = ship(TINY, folder)
    assert (pair.emulator, pair.validator) == (1, 1)
    decision = ["decision.html", "decision.json"]
    assert sorted(path.name for path in folder.iterdir()) == [*decision, "emulator", "model_card.md", "validator"]
    assert (folder / "model_card.md").read_text() == "# The pair\n"
    assert json.loads((folder / "decision.json").read_text())["kind"] == "promotion"
    monkeypatch.setattr(find, "resource", lambda _pairs, *parts: folder.parent.joinpath(*parts))
    assert Emulator.load("tiny").digest == Emulator.load(store).digest
    assert Validator.load("tiny").uncertainty(ROWS.labels).shape == ROWS.labels.shape


def test_a_pair_without_a_card_is_shipped_all_the_same(store: Path, tmp_path: Path) -> None:
    client = mlflow.MlflowClient()
    run_id = (store / "run").read_text()
    client.set_model_version_tag(TINY.models.emulator, "1", "run_id", "0" * 32)
    ship(TINY, tmp_path / "tiny")
    client.set_model_version_tag(TINY.models.emulator, "1", "run_id", run_id)
    assert (tmp_path / "tiny" / "decision.json").is_file()
    assert not (tmp_path / "tiny" / "model_card.md").exists()


def test_the_card_that_a_run_keeps_without_figures_is_shipped_as_it_is(store: Path, tmp_path: Path) -> None:
    client, run_id = mlflow.MlflowClient(), (store / "run").read_text()
    client.log_text(run_id, "# The pair\n\n## Figures\n\nare elsewhere\n", "model_card_without_figures.md")
    ship(TINY, tmp_path / "tiny")
    assert (tmp_path / "tiny" / "model_card.md").read_text() == "# The pair\n\n## Figures\n\nare elsewhere\n"


def test_what_is_no_champion_is_not_shipped(store: Path, tmp_path: Path) -> None:
    client = mlflow.MlflowClient()
    head = client.get_registered_model(TINY.models.emulator).tags[HEAD]
    client.delete_registered_model_tag(TINY.models.emulator, HEAD)
    with pytest.raises(InputError, match="no decision promoted emulator 1 with validator 1"):
        ship(TINY, tmp_path / "tiny")
    client.set_registered_model_tag(TINY.models.emulator, HEAD, head)
    client.delete_registered_model_alias(TINY.models.emulator, "champion")
    with pytest.raises(InputError, match="tiny-emulator has no champion in sqlite"):
        ship(TINY, tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()
