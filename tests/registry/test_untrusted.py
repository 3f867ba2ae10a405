"""What a registry or a folder says is not believed: each attack beside a control that differs in it alone."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from synthetic import TINY

from stellar_emulator.errors import InputError
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.inference import EmulatorNetwork
from stellar_emulator.registry import model_cache, read
from stellar_emulator.saved import bundle
from stellar_emulator.saved.bundle import DESCRIPTION, GRAPH, read_bundle, save_emulator
from stellar_emulator.saved.rebuilt import require_graph_of_weights


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_emulator(tmp_path / "emulator", network(), TINY, {})
    return tmp_path / "emulator"


def network() -> EmulatorNetwork:
    random = np.random.default_rng(0)
    kernel = random.random((len(TINY.labels), TINY.wavelength.count)) / TINY.upper[:, None]
    return EmulatorNetwork(linear_map(kernel / 3, random.random(TINY.wavelength.count)))


@pytest.fixture
def kept(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Digest of a model in this machine's cache."""
    monkeypatch.setenv("STELLAR_EMULATOR_CACHE", str(tmp_path / "cache"))
    digest = read_bundle(model).digest
    model_cache.keep(digest, model)
    return digest


def version(tags: dict[str, str]) -> ModelVersion:
    return ModelVersion("tiny", "1", 0, tags=[ModelVersionTag(*tag) for tag in tags.items()])


def test_a_stray_tag_deletes_no_folder(kept: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("mine")
    control = read._copies(version({"digest": kept}))
    attacked = read._copies(version({"digest": kept, "digest_zzz": str(precious)}))
    assert attacked == control == {"bundle": tmp_path / "cache" / "models" / kept}
    for digest in (str(precious), f"../../{precious.name}", kept.upper(), kept + "\n", ""):
        with pytest.raises(InputError, match="which is no SHA-256"):
            read._copies(version({"digest": digest}))
        with pytest.raises(InputError, match="which is no SHA-256"):
            read._copies(version({"digest": kept, "digest_judge_2": digest}))
    assert (precious / "thesis.tex").read_text() == "mine"


def test_only_the_model_that_a_digest_names_is_kept(kept: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds the model .* not 000000000000\.\.\."):
        model_cache.keep("0" * 64, model)
    (model / GRAPH).write_bytes((model / GRAPH).read_bytes() + b"x")
    with pytest.raises(InputError, match="was changed after it was saved"):
        model_cache.keep("1" * 64, model)
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [kept]


@pytest.mark.parametrize("stated", ["../other", "/etc", "artifacts/../../other"])
def test_an_artifact_outside_its_model_is_refused(stated: str, tmp_path: Path) -> None:
    assert read._inside(tmp_path, "bundle", {"path": "artifacts/emulator"}) == tmp_path / "artifacts" / "emulator"
    with pytest.raises(InputError, match="do not use it"):
        read._inside(tmp_path, "bundle", {"path": stated})
    with pytest.raises(InputError, match="do not use it"):
        read._inside(tmp_path, "../bundle", {"path": "artifacts/emulator"})


@pytest.mark.parametrize("name", [".gitignore", "weights.bin", ".git", "measured.npz", "link"])
def test_a_file_that_no_digest_covers_is_refused_by_name(name: str, model: Path) -> None:
    read_bundle(model)
    if name == ".git":
        (model / name).mkdir()
    elif name == "link":
        (model / name).symlink_to(model / GRAPH)
    else:
        (model / name).write_text("x")
    with pytest.raises(InputError, match=rf"/{name} is no file of this model"):
        read_bundle(model)


def test_a_linked_file_is_no_file_of_a_model(model: Path, tmp_path: Path) -> None:
    shutil.move(model / GRAPH, tmp_path / "elsewhere.onnx")
    (model / GRAPH).symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(InputError, match="is no file of this model"):
        read_bundle(model)


def test_a_description_states_no_file_outside(model: Path) -> None:
    restate(model, {"../../thesis.tex": "0" * 64})
    with pytest.raises(InputError, match="states files that no model has"):
        read_bundle(model)


def test_a_graph_that_is_not_what_its_weights_say_is_refused(model: Path) -> None:
    require_graph_of_weights(read_bundle(model))
    graph = onnx.load(model / GRAPH)
    (last,) = [node for node in graph.graph.node if "flux" in node.output]
    last.output[0] = "honest"
    graph.graph.node.append(onnx.helper.make_node("Abs", ["honest"], ["flux"]))
    content = graph.SerializeToString()
    (model / GRAPH).write_bytes(content)
    restate(model, {GRAPH: hashlib.sha256(content).hexdigest()})
    altered = read_bundle(model)  # digests alone find nothing
    with pytest.raises(InputError, match=r"model\.onnx is not the graph that the layers of its model make"):
        require_graph_of_weights(altered)


@pytest.mark.parametrize("place", ["../weights.bin", "fingerprint.npz"])
def test_a_graph_whose_data_lie_elsewhere_is_refused(place: str, model: Path, tmp_path: Path) -> None:
    read_bundle(model)
    graph = onnx.load(model / GRAPH)
    graph.graph.initializer.add(name="beside", data_type=1, dims=[1], data_location=1)
    graph.graph.initializer[-1].external_data.add(key="location", value=place)
    content = graph.SerializeToString()
    (model / GRAPH).write_bytes(content)
    restate(model, {GRAPH: hashlib.sha256(content).hexdigest()})
    with pytest.raises(InputError, match=r"model\.onnx takes data from another file"):
        read_bundle(model)


def restate(folder: Path, files: dict[str, str]) -> None:
    """Change what model.json says of files, and its digest, as somebody who can write there would."""
    description = json.loads((folder / DESCRIPTION).read_text())
    del description["digest"]
    description["files"] |= files
    if GRAPH in files:
        content = (folder / GRAPH).read_bytes()
        description["weights"] = bundle._places(content, {"chain": network().chain})
    description["digest"] = bundle._digest(description)
    (folder / DESCRIPTION).write_text(json.dumps(description))
