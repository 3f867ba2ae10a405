"""What the stages of a training are expected to take: so that its progress can tell the time left of all of it."""

from itertools import pairwise

from stellar_emulator.contract.contract import Contract
from stellar_emulator.networks.coordinates import own_coordinates, physical_coordinates
from stellar_emulator.networks.preset import AnyPreset, Interpolation, Preset, Training
from stellar_emulator.system.job_clock import Expected

# On two cores of an AMD EPYC, where a product of matrices reaches 190 GFLOP/s; only proportions count.
BY_KERAS, BY_MUON = 6e10, 1e11
"""Operations a second of a training by Keras and by Muon, six for each weight and example."""
TAUGHT = 2.5e-7
"""Seconds of a teacher for each pair of runs that it learns and each eight predictions a run."""
WEIGHED = 0.02
"""Seconds for each run between which is interpolated."""
CHECKED, MEASURED, DRAWN = 4e-4, 4e-3, 20.0
"""Seconds for each spectrum checked and tested, and for all figures and the registration."""


def expected_times(contract: Contract, preset: AnyPreset, spectra: int, runs: int, lent: bool) -> dict[str, Expected]:
    """The stages of ``train`` in order, by name, for a grid of a number of spectra of a number of runs.

    lent: whether the emulator's networks come from another emulator.
    """
    trained = contract.split.train
    found = {"check": Expected(CHECKED * spectra)}
    if isinstance(preset, Interpolation):
        found |= {} if lent else {"interpolation": Expected(WEIGHED * trained * runs)}
    elif not lent:
        found |= _emulator(contract, preset, trained * (runs if preset.family == "exact" else spectra))
    validator = preset.validator
    for seed in validator.seeds:
        for name, columns in validator.label_groups(contract.label_names).items():
            sizes = [validator.components, *validator.hidden, len(columns)]
            found[f"{name} seed {seed}"] = _fit(sizes, validator.training, trained * spectra)
    return found | {
        "measuring": Expected(MEASURED * contract.split.test * spectra),
        "figures and registration": Expected(DRAWN),
    }


def _emulator(contract: Contract, preset: Preset, examples: float) -> dict[str, Expected]:
    labels = contract.run_labels if preset.family == "exact" else contract.labels
    coordinates = own_coordinates(labels) if preset.inputs == "labels" else physical_coordinates(labels)
    width = preset.basis or contract.wavelength.count
    auto, label = preset.autoencoder, preset.label_network
    before = [len(coordinates), *label.hidden, auto.latent]
    behind = [auto.latent, *auto.decoder, width]
    found = {}
    if preset.teacher is not None:
        found["teacher"] = Expected(TAUGHT * examples**2 * (1 + preset.teacher.draws / 8))
        examples *= 1 + preset.teacher.draws
    found["autoencoder"] = _fit([width, *auto.encoder, *behind], auto.training, examples)
    found["label_network"] = _fit(before, label.training, examples)
    if preset.fine_tuning is not None:
        found["chain"] = _fit([*before, *behind[1:]], preset.fine_tuning, examples)
    return found


def _fit(sizes: list[int], training: Training, examples: float) -> Expected:
    weights = sum(one * other for one, other in pairwise(sizes))
    pace = BY_MUON if training.optimizer == "muon" else BY_KERAS
    return Expected(6.0 * weights * examples * training.epochs / pace, training.epochs)
