"""Presets: the hyperparameters of one training, read from a small file and checked like any other input."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stellar_emulator.contract.contract import first_fault
from stellar_emulator.errors import InputError
from stellar_emulator.system.plain_yaml import parse_yaml, read_text

Activation = Literal["relu", "silu", "gelu", "tanh", "linear"]
Loss = Literal["mean_squared_error", "root_mean_squared_error"]
Inputs = Literal["labels", "coordinates"]
Width = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Training(_Frozen):
    """Settings by which one network is fitted.

    ``loss``: ``mean_squared_error`` averages over all values of all examples; ``root_mean_squared_error`` takes the
    root for each example and then the mean, so that the few worst examples have less weight, and the many that are
    nearly right have more.
    """

    loss: Loss = "mean_squared_error"
    optimizer: Literal["adam", "adamax", "adamw", "muon"] = Field(
        description="muon: of the kernels between first and last layer (Jordan 2024); the others have AdamW."
    )
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine"] = Field(description="cosine: falls to zero over all epochs.")
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1, description="Epochs without gain on validation runs after which training stops.")
    weight_decay: float | None = Field(default=None, ge=0, description="Of adamw alone; absent: Keras's own.")
    beta_2: float | None = Field(default=None, gt=0, lt=1, description="Memory of squared gradients; absent: Keras's.")

    @model_validator(mode="after")
    def _decay_has_its_optimizer(self) -> Self:
        if self.weight_decay is not None and self.optimizer != "adamw":
            raise ValueError(f"weight_decay belongs to adamw, not to {self.optimizer}: leave one of them out")
        return self


class Autoencoder(_Frozen):
    """Flux to latent values and back (Table 2 of Gebran 2024); the decoder need not mirror the encoder."""

    encoder: tuple[Width, ...]
    latent: Width
    decoder: tuple[Width, ...]
    activation: Activation
    latent_activation: Activation
    training: Training


class LabelNetwork(_Frozen):
    """Labels to latent values (Table 3)."""

    hidden: tuple[Width, ...]
    dropout: tuple[Rate, ...] = Field(description="Rate after each hidden layer.")
    activation: Activation
    training: Training

    @model_validator(mode="after")
    def _one_rate_each(self) -> Self:
        if len(self.hidden) != len(self.dropout):
            raise ValueError(f"{len(self.hidden)} hidden layers need as many dropout rates, got {len(self.dropout)}")
        return self


class TeacherSettings(_Frozen):
    """A Gaussian process that learns the training runs first; the networks then learn from its predictions too."""

    draws: int = Field(ge=1, description="Predictions for each training run, evenly over the label box.")


class ValidatorSettings(_Frozen):
    """Principal components of the flux to labels (Table 4).

    One is trained for each of the ``seeds``: the first is the registered validator, and all are the gate's judges.
    """

    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(min_length=1)
    components: int = Field(ge=1)
    hidden: tuple[Width, ...]
    activation: Activation
    initializer: Literal["random_normal", "glorot_uniform"]
    one_network_per_label: bool
    training: Training

    def label_groups(self, labels: Sequence[str]) -> dict[str, list[int]]:
        """Columns of the labels that each network infers, by the network's name."""
        if not self.one_network_per_label:
            return {"validator": list(range(len(labels)))}
        return {f"validator_{name}": [column] for column, name in enumerate(labels)}


class _Common(_Frozen):
    name: str
    family: Literal["learned", "exact"]
    validator: ValidatorSettings
    search_run: str | None = None


class Interpolation(_Common):
    """Settings of a training without networks: spectra of few runs, interpolated by radial functions.

    ``interpolation``: of which functions, see `training.interpolation`; ``basis``: number of principal components that
    are interpolated; ``family``: as of a `Preset`.
    """

    interpolation: Literal["cubic"]
    basis: int = Field(ge=1)


class Preset(_Common):
    """All settings of a training besides grid and seed.

    ``family``: ``learned`` broadening, as in the paper: all labels enter the network; ``exact``: the networks emulate
    intrinsic spectra from the run's own labels, rotation and instrument are a fixed last layer.
    ``basis``: number of principal components in which autoencoder and label network work (the projections are fixed
    first and last layers); absent (learned family only): they work on the pixels themselves.
    ``inputs``: inputs of the label network, either the ``labels`` themselves, or ``coordinates`` along which spectra
    change evenly (among them 1 / T and powers of ten of logarithmic labels; see `networks.coordinates`).
    ``teacher``: a Gaussian process between the runs, which needs a basis; absent: networks learn from the runs alone.
    ``fine_tuning``: the whole chain on flux, end to end, after both parts are trained; absent: chained as trained.
    ``search_run``: MLflow run of the search that found the preset.
    """

    basis: int | None = Field(default=None, ge=1)
    inputs: Inputs = "labels"
    teacher: TeacherSettings | None = None
    autoencoder: Autoencoder
    label_network: LabelNetwork
    fine_tuning: Training | None = None

    @model_validator(mode="after")
    def _exact_has_basis(self) -> Self:
        if self.family == "exact" and self.basis is None:
            raise ValueError("the exact family works in a basis: give a number of principal components")
        return self

    @model_validator(mode="after")
    def _teacher_has_its_basis(self) -> Self:
        if self.basis is None and self.teacher is not None:
            raise ValueError("a teacher predicts principal components: leave teacher out, or give a basis")
        return self


AnyPreset = Preset | Interpolation


def parse_preset(content: Mapping[str, Any]) -> AnyPreset:
    """A preset of its fields. Raises pydantic's `ValidationError`."""
    return (Interpolation if "interpolation" in content else Preset).model_validate(content)


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    folder = resources.files("stellar_emulator.networks") / "presets"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def preset_text(preset: AnyPreset) -> str:
    """Text of a preset in the form that `read_preset` reads from a file."""
    return yaml.safe_dump(preset.model_dump(mode="json", exclude_none=True), sort_keys=False)


def read_preset(name_or_path: str) -> Preset:
    """Read a preset of networks. Raises `InputError` as `read_any_preset`, and if it has none."""
    found = read_any_preset(name_or_path)
    if isinstance(found, Interpolation):
        raise InputError(f"preset {name_or_path} interpolates, without networks: choose another one here")
    return found


def read_any_preset(name_or_path: str) -> AnyPreset:
    """Read a shipped preset by name, or a preset file by path.

    Raises
    ------
    InputError
        If there is none of that name, or the file breaks a rule; the message names field, value and rule.
    """
    if name_or_path in preset_names():
        text = (resources.files("stellar_emulator.networks") / "presets" / f"{name_or_path}.yaml").read_text()
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise InputError(f"preset {name_or_path!r} is neither one of {', '.join(preset_names())} nor a file")
        try:
            text = read_text(path, f"preset {path}")
        except OSError as error:
            raise InputError(f"preset {path} can't be read: {error}") from error
    content = parse_yaml(text, f"preset {name_or_path}")
    if not isinstance(content, dict):
        raise InputError(f"preset {name_or_path} must hold a mapping of fields, got {type(content).__name__}")
    try:
        return parse_preset(content)
    except ValidationError as error:
        raise InputError(f"preset {name_or_path}: {first_fault(error)}") from error
