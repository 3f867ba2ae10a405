"""The stages that a training is expected to have are those that it has, in order."""

import pytest
from synthetic import GAIA

from stellar_emulator.networks.preset import read_any_preset, read_preset
from stellar_emulator.training.expected_times import expected_times


def test_the_default_has_every_stage_and_more_epochs_take_longer() -> None:
    preset = read_preset("default")
    found = expected_times(GAIA, preset, 80_000, 10_000, lent=False)
    judges = [f"validator seed {seed}" for seed in preset.validator.seeds]
    networks = ["teacher", "autoencoder", "label_network", "chain", *judges]
    assert list(found) == ["check", *networks, "measuring", "figures and registration"]
    assert all(stage.seconds > 0.0 for stage in found.values())
    assert preset.fine_tuning is not None
    assert found["chain"].steps == preset.fine_tuning.epochs
    twice = preset.fine_tuning.model_copy(update={"epochs": 2 * preset.fine_tuning.epochs})
    longer = expected_times(GAIA, preset.model_copy(update={"fine_tuning": twice}), 80_000, 10_000, lent=False)
    assert longer["chain"].seconds == pytest.approx(2.0 * found["chain"].seconds)
    assert longer["autoencoder"] == found["autoencoder"]


def test_what_is_interpolated_is_one_stage() -> None:
    preset = read_any_preset("few")
    found = expected_times(GAIA, preset, 2_000, 200, lent=False)
    assert list(found) == ["check", "interpolation", "validator seed 1", "measuring", "figures and registration"]
    assert "interpolation" not in expected_times(GAIA, preset, 2_000, 200, lent=True)


def test_lent_networks_are_not_trained() -> None:
    found = expected_times(GAIA, read_preset("default"), 80_000, 10_000, lent=True)
    assert not {"teacher", "autoencoder", "label_network", "chain"} & set(found)


def test_the_paper_has_a_validator_for_each_label_and_no_chain() -> None:
    found = expected_times(GAIA, read_preset("paper"), 8_000, 1_000, lent=False)
    heads = {name for name in found if name.startswith("validator_")}
    assert heads == {f"validator_{label} seed {seed}" for label in GAIA.label_names for seed in (1, 2, 3)}
    assert "chain" not in found
    assert "teacher" not in found
