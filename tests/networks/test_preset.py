from pathlib import Path

import pytest

from stellar_emulator.errors import InputError
from stellar_emulator.networks.preset import preset_names, preset_text, read_preset

SMOKE = (Path(__file__).parents[2] / "src" / "stellar_emulator" / "networks" / "presets" / "smoke.yaml").read_text()


@pytest.mark.parametrize("name", ["default", "learned", "paper", "smoke"])
def test_shipped_presets_are_read_by_name(name: str) -> None:
    assert name in preset_names()
    assert read_preset(name).name == name


def test_paper_preset_is_the_papers_tables() -> None:
    paper = read_preset("paper")
    encoder, decoder = paper.autoencoder, paper.autoencoder.decoder
    assert (*encoder.encoder, encoder.latent, *decoder) == (1024, 512, 256, 64, 32, 10, 32, 64, 256, 512, 1024)
    assert (encoder.activation, encoder.latent_activation, encoder.training.optimizer) == ("relu", "relu", "adam")
    assert encoder.training.patience == 15
    assert paper.label_network.hidden == (5000, 2000, 512, 32)
    assert paper.label_network.dropout == (0.3, 0.3, 0.3, 0.0)
    assert paper.label_network.training.optimizer == "adamax"
    assert paper.label_network.training.batch_size == 512
    assert (paper.basis, paper.fine_tuning, paper.family) == (None, None, "learned")
    assert paper.validator.hidden == (5000, 2000, 1000, 512, 64)
    assert (paper.validator.components, paper.validator.one_network_per_label) == (15, True)
    assert paper.validator.initializer == "random_normal"


def test_a_file_is_read_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SMOKE.replace("name: smoke", "name: mine"))
    assert read_preset(str(tmp_path / "mine.yaml")).name == "mine"


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(InputError, match=r"preset 'fast' is neither one of default, few, .* smoke nor a file"):
        read_preset("fast")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("family: exact", "family: magic", r"field family: .*'learned' or 'exact' \(got 'magic'\)"),
        ("basis: 32\n", "", r"the exact family works in a basis"),
        ("basis: 32", "basis: 0", r"field basis: .*\(got 0\)"),
        ("basis: 32", "base: 32", r"field base: Extra inputs are not permitted \(got 32\)"),
        ("encoder: [64]", "encoder: [0]", r"field autoencoder\.encoder\.0: .*\(got 0\)"),
        ("latent: 12", "latent: -1", r"field autoencoder\.latent: .*\(got -1\)"),
        ("latent: 12", "latent: dozen", r"field autoencoder\.latent: .*\(got 'dozen'\)"),
        ("latent_activation: linear", "latent_activation: swish", r"latent_activation: .*\(got 'swish'\)"),
        ("dropout: [0.0, 0.0]", "dropout: [0.0, 1.0]", r"field label_network\.dropout\.1: .*\(got 1\.0\)"),
        ("dropout: [0.0, 0.0]", "dropout: [0.3]", r"2 hidden layers need as many dropout rates, got 1"),
        ("optimizer: adam", "optimizer: sgd", r"training\.optimizer: .*\(got 'sgd'\)"),
        ("optimizer: adam,", "optimizer: adam, weight_decay: 0.1,", r"weight_decay belongs to adamw, not to adam"),
        ("optimizer: adam,", "optimizer: adam, beta_2: 1.0,", r"training\.beta_2: .*\(got 1\.0\)"),
        ("learning_rate: 0.003", "learning_rate: 0", r"training\.learning_rate: .*\(got 0\)"),
        ("learning_rate: 0.003", "learning_rate: .inf", r"training\.learning_rate: .*finite"),
        ("epochs: 8", "epochs: 0", r"training\.epochs: .*\(got 0\)"),
        ("epochs: 8", "epoch: 8", r"training\.epochs: Field required"),
        ("patience: 8", "patience: 0", r"training\.patience: .*\(got 0\)"),
        ("batch_size: 128", "batch_size: 0", r"training\.batch_size: .*\(got 0\)"),
        ("schedule: cosine", "schedule: sine", r"training\.schedule: .*\(got 'sine'\)"),
        ("components: 15", "components: 0", r"field validator\.components: .*\(got 0\)"),
        ("initializer: glorot_uniform", "initializer: ones", r"field validator\.initializer: .*\(got 'ones'\)"),
        (SMOKE, "[smoke]", r"must hold a mapping of fields, got list"),
        (SMOKE, "name: [smoke", r"is no valid YAML"),
    ],
)
def test_a_broken_rule_is_named_with_its_value(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SMOKE
    (tmp_path / "mine.yaml").write_text(SMOKE.replace(old, new))
    with pytest.raises(InputError, match=message) as refused:
        read_preset(str(tmp_path / "mine.yaml"))
    assert "mine.yaml" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_binary_file_is_no_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"mine\.yaml can't be read"):
        read_preset(str(tmp_path / "mine.yaml"))


def test_a_preset_written_down_is_read_back_the_same(tmp_path: Path) -> None:
    found = read_preset("default")
    tuned = found.autoencoder.training.model_copy(update={"optimizer": "adamw", "weight_decay": 0.02, "beta_2": 0.99})
    changed = found.model_copy(
        update={"autoencoder": found.autoencoder.model_copy(update={"training": tuned}), "search_run": "abc123"}
    )
    for preset in (changed, read_preset("paper")):
        path = tmp_path / "preset.yaml"
        path.write_text(preset_text(preset))
        assert read_preset(str(path)) == preset
