"""The data contract: labels, wavelength axis, flux range and sampling, read from one YAML file into frozen types."""

import hashlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from stellar_emulator.contract.axis import IntrinsicAxis, WavelengthAxis
from stellar_emulator.contract.expectation_limits import Expectations
from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.contract.roles import ELEMENT, ELEMENT_NAME, RESOLUTION, ROLES, Kind, inferred_role, known_roles
from stellar_emulator.errors import InputError
from stellar_emulator.shipped.resources import contract_file, contract_names

LineDataName = Literal["published", "calibrated"]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Safe, and ten times faster where PyYAML comes with libyaml."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Label(_Frozen):
    """One stellar (or instrumental) label with its unit and inclusive bounds."""

    name: Name = Field(description="As columns, arguments and requests call it.")
    symbol: str = Field(description="LaTeX, for figures.")
    unit: str = Field(description="Of all its values, as astropy writes it; empty: a pure number.")
    lower: float = Field(description="Smallest value, inclusive; below `upper`.")
    upper: float = Field(description="Largest value, inclusive.")
    kind: Kind = Field(
        description="Whether it belongs to the radiative-transfer run or to the broadening; `role` alone says it too."
    )
    role: str = Field(
        default="",
        description=f"What it does: {known_roles()}; absent: of a label of kind broadening its name, of others run.",
    )
    accuracy: bool = Field(description="Whether its inferred accuracy is gated, not only reported.")
    median: float | None = Field(
        default=None, description="Half of all draws lie below it, between the bounds; absent: uniform draws."
    )

    @model_validator(mode="before")
    @classmethod
    def _kind_and_role(cls, given: Any) -> Any:
        """Each of them from the other; a role that is not known is left for the contract to name."""
        if not isinstance(given, dict):
            return given
        if not given.get("role"):
            return {**given, "role": inferred_role(str(given.get("name")), given.get("kind"))}
        known = ROLES.get(given["role"]) if isinstance(given["role"], str) else None
        return {"kind": Kind.BROADENING if known is None else known.kind, **given}

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a role that kind and name say already."""
        inferred = self.role == inferred_role(self.name, self.kind)
        return {name: value for name, value in handler(self).items() if name != "role" or not inferred}

    @model_validator(mode="after")
    def _fits_its_role(self) -> Self:
        role = ROLES.get(self.role)
        if role is None:
            return self
        if role.kind is not self.kind:
            raise ValueError(f"label {self.name}: role {role.name} is of kind {role.kind}, not {self.kind}")
        if role.unit is not None and self.unit.replace(" ", "") != role.unit:
            wanted = f"in {role.unit}" if role.unit else "without a unit"
            raise ValueError(f"label {self.name}: role {role.name} is {wanted}, got unit {self.unit!r}")
        if role.name == ELEMENT and not re.fullmatch(ELEMENT_NAME, self.name):
            raise ValueError(
                f"label {self.name}: role {role.name} wants the symbol and _m for its name, as ca_m for [Ca/M]"
            )
        if role.lowest is not None and self.lower < role.lowest:
            raise ValueError(
                f"label {self.name}: lower ({self.lower:g}) must be {role.lowest:g} or more for role {role.name}"
            )
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.lower < self.upper:
            raise ValueError(f"label {self.name}: lower ({self.lower}) must be below upper ({self.upper})")
        if self.median is not None and not self.lower < self.median < self.upper:
            raise ValueError(
                f"label {self.name}: median ({self.median}) must lie between {self.lower} and {self.upper}"
            )
        return self

    @property
    def title(self) -> str:
        """Symbol and unit for an axis of a figure."""
        return f"${self.symbol}$" + (f" ({self.unit})" if self.unit else "")


class FluxRange(_Frozen):
    """Inclusive bounds of a normalised flux."""

    lower: float = Field(description="Smallest flux, inclusive; below `upper`.")
    upper: float = Field(description="Largest flux, inclusive; the continuum is at 1.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.lower < self.upper:
            raise ValueError(f"flux: lower ({self.lower}) must be below upper ({self.upper})")
        return self


class LimbDarkening(_Frozen):
    """Linear limb darkening of intrinsic spectra that have none of their own: a constant, or a table by a label."""

    value: float | None = Field(default=None, ge=0, le=1, description="Of all runs; in place of a table.")
    label: Name | None = Field(default=None, description="Label of the run that a table goes by.")
    at: tuple[float, ...] | None = Field(default=None, description="Values of that label, ascending, two or more.")
    values: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = Field(
        default=None, description="Limb darkening at each of them; linear between, constant beyond."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        table = (self.label, self.at, self.values)
        if (self.value is None) == all(part is None for part in table) or (self.value is None and None in table):
            raise ValueError("limb_darkening: give value, or label, at and values")
        if self.at is not None and self.values is not None:
            if len(self.at) != len(self.values) or len(self.at) < 2:
                raise ValueError(
                    f"limb_darkening: at and values must be equally many, two or more, got {len(self.at)} and "
                    f"{len(self.values)}"
                )
            if any(lower >= upper for lower, upper in pairwise(self.at)):
                raise ValueError(f"limb_darkening: at must ascend, got {list(self.at)}")
        return self


class Instrument(_Frozen):
    """The spectrograph, where its resolution is the same for all spectra and so no label."""

    resolution: float = Field(gt=0, description="Of all spectra: wavelength over FWHM; at most `sharpest`.")
    sharpest: float = Field(
        gt=0,
        description="Resolution that exact emulators are trained at, before they broaden to `resolution`; one that was "
        "trained by another contract serves this one too where the two agree in it.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.resolution > self.sharpest:
            raise ValueError(f"instrument: resolution ({self.resolution}) must not exceed sharpest ({self.sharpest})")
        return self


class ModelNames(_Frozen):
    """Names of the registered models; another contract takes other names."""

    emulator: str = Field(description="Name of the emulator in the registry.")
    validator: str = Field(description="Name of the validator in the registry.")


class Sampling(_Frozen):
    """Seeds of the two independent label sequences, and the broadening draws of each run."""

    seed: int = Field(description="Of the runs that models are trained and tested on.")
    gate_seed: int = Field(description="Of the runs that the gate alone reads; another one than `seed`.")
    realisations: int = Field(ge=1, description="Broadened spectra of each run.")

    @model_validator(mode="after")
    def _independent(self) -> Self:
        if self.seed == self.gate_seed:
            raise ValueError("sampling: seed and gate_seed must differ, or the gate reads the training runs")
        return self


class Split(_Frozen):
    """Shares of the runs in each part; they sum to 1."""

    train: float = Field(gt=0, description="Share that networks are fitted to.")
    validation: float = Field(gt=0, description="Share by which training stops and searches choose.")
    test: float = Field(gt=0, description="Share that models are measured on, and nothing else reads.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.validation + self.test - 1.0) > 1e-9:
            raise ValueError("split: train, validation and test must sum to 1")
        return self


class Regions(_Frozen):
    """Bins of labels, the hard region and the line cores that figures of merit are broken down by.

    Each further field is the name of a label with the edges of its bins: of none, one or several labels. Maps of
    regions show the first two.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Annotated[list[float], Field(description="Edges of a label's bins, ascending.")]] = (
        Field(init=False)
    )

    hard: dict[str, tuple[float, float]] = Field(description="Label ranges that together bound the hard region.")
    line_cores: dict[str, float] = Field(description="Centres of lines in Angstrom, by the line's name.")
    line_core_half_width: float = Field(gt=0, description="Angstrom either side of a line's centre.")
    equivalent_width_half_width: float = Field(gt=0, description="Angstrom over which a line is integrated.")

    @property
    def bins(self) -> dict[str, list[float]]:
        """Bin edges by label name, in the file's order."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for name, edges in self.bins.items():
            if len(edges) < 2 or any(lower >= upper for lower, upper in pairwise(edges)):
                raise ValueError(f"regions: edges of {name} must ascend, two or more, got {edges}")
        return self


class Contract(_Frozen):
    """Everything that a grid, a model and a request of one kind must obey."""

    name: Name = Field(description="Of the contract; its embedded grid and its shipped pair lie under it.")
    description: str = Field(description="One sentence for people.")
    models: ModelNames = Field(description="What its models are registered as.")
    labels: tuple[Label, ...] = Field(
        min_length=1, description="In the order of every table; one of kind run at least."
    )
    wavelength: WavelengthAxis = Field(description="Pixels of every spectrum.")
    flux: FluxRange = Field(description="What flux may be.")
    intrinsic: IntrinsicAxis | None = Field(
        default=None, description="Pixels of unbroadened spectra; absent: grids hold broadened spectra alone."
    )
    instrument: Instrument | None = Field(
        default=None, description="Where resolution is no label; absent: it is one, or is not known."
    )
    limb_darkening: LimbDarkening | None = Field(
        default=None, description="Of intrinsic spectra that come without; absent: they have their own, or need none."
    )
    line_data: LineDataName = Field(
        default="published",
        description="Of its runs: `published`, line lists as their authors left them, or `calibrated` on reference "
        "stars.",
    )
    embedded: Name | None = Field(
        default=None, description="Contract whose embedded intrinsic spectra serve this one too; absent: its own."
    )
    sampling: Sampling = Field(description="How labels are drawn.")
    split: Split = Field(description="Which runs train, validate and test.")
    regions: Regions = Field(description="How figures of merit are broken down.")
    gate: GateLimits | None = Field(default=None, description="What a champion must reach; absent: no promotion.")
    expectations: Expectations = Field(
        default_factory=Expectations, description="What spectra must show beside bounds and axis."
    )
    digest: str = Field(default="", description="SHA-256 of the file; set when it is read.")
    source: str = Field(default="", description="The file's text; set when it is read.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError(f"labels: names must be unique, got {', '.join(names)}")
        unknown = sorted({*self.regions.bins, *self.regions.hard} - set(names))
        if unknown:
            raise ValueError(f"regions: {', '.join(unknown)} is no label of this contract ({', '.join(names)})")
        if not any(label.kind is Kind.RUN for label in self.labels):
            raise ValueError("labels: at least one must be of kind run")
        self._check_roles()
        if self.instrument and (self.of_role(RESOLUTION) or RESOLUTION in names):
            raise ValueError("instrument: resolution is a label of this contract already; leave one of them out")
        darkened = None if self.limb_darkening is None else self.limb_darkening.label
        if darkened is not None and darkened not in {label.name for label in self.run_labels}:
            raise ValueError(f"limb_darkening: {darkened} is no label of kind run of this contract")
        misnamed = self.expectations.fault(names, self.regions.line_cores)
        if misnamed:
            raise ValueError(f"expectations: {misnamed}")
        gated = {label.name for label in self.labels if label.accuracy}
        for field, limits in self.gate.by_label.items() if self.gate else ():
            if set(limits) != gated:
                raise ValueError(f"gate.{field}: give every accuracy label and no other: {', '.join(sorted(gated))}")
        return self

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the fields that contracts of before do not have, where this one has not either."""
        unsaid = {"limb_darkening": None, "line_data": "published"}
        return {name: value for name, value in handler(self).items() if name not in unsaid or value != unsaid[name]}

    def _check_roles(self) -> None:
        for label in self.labels:
            if label.role not in ROLES:
                kind = label.kind if label.kind is Kind.BROADENING else None
                what = f"role {label.role}" if label.role else f"kind {label.kind}, and its name is no role,"
                raise ValueError(
                    f"label {label.name}: {what} is nothing that spectra are made with: give a role of "
                    f"{known_roles(kind)}"
                )
        for role in ROLES.values():
            names = [label.name for label in self.labels if label.role == role.name]
            if role.alone and len(names) > 1:
                raise ValueError(f"labels: {' and '.join(names)} have one role, {role.name}: leave one of them")

    def of_role(self, role: str) -> Label | None:
        """The label that has a role which one label has at most."""
        return next((label for label in self.labels if label.role == role), None)

    def column_of(self, role: str) -> int | None:
        """Its place among all labels, None where none has the role."""
        return next((place for place, label in enumerate(self.labels) if label.role == role), None)

    @property
    def label_names(self) -> list[str]:
        return [label.name for label in self.labels]

    @property
    def run_labels(self) -> tuple[Label, ...]:
        return tuple(label for label in self.labels if label.kind is Kind.RUN)

    @property
    def broadening_labels(self) -> tuple[Label, ...]:
        return tuple(label for label in self.labels if label.kind is Kind.BROADENING)

    @property
    def accuracy_labels(self) -> tuple[Label, ...]:
        return tuple(label for label in self.labels if label.accuracy)

    @property
    def lower(self) -> NDArray[np.float64]:
        """Lower bounds, shape (labels,)."""
        return np.array([label.lower for label in self.labels])

    @property
    def upper(self) -> NDArray[np.float64]:
        """Upper bounds, shape (labels,)."""
        return np.array([label.upper for label in self.labels])

    @property
    def first_binned(self) -> str:
        """The label that figures run along: the first with bins, or the first of all."""
        return next(iter(self.regions.bins), self.labels[0].name)

    def columns(self, labels: tuple[Label, ...]) -> list[int]:
        """Positions of some of the labels among all."""
        return [self.label_names.index(label.name) for label in labels]


def read_contract(where: str | Path) -> Contract:
    """Read and check a data contract: a YAML file, or one that comes with the package, by its name.

    Raises
    ------
    InputError
        If the file is missing, no YAML, or breaks a rule; the message names field, value and rule.
    """
    shipped = contract_names()
    path = contract_file(str(where)) if str(where) in shipped else Path(where)
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise InputError(
            f"data contract {path} can't be read: it is no file, nor the name of one that comes with the package "
            f"({', '.join(shipped)})"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data contract {path} can't be read: {error}") from error
    return parse_contract(text, str(path))


def parse_contract(text: str, name: str = "data contract") -> Contract:
    """Check a data contract given as text; ``name`` stands in error messages. Raises like `read_contract`."""
    try:
        content = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise InputError(f"{name} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{name} must hold a mapping of fields, got {type(content).__name__}")
    try:
        return Contract.model_validate({**content, "digest": hashlib.sha256(text.encode()).hexdigest(), "source": text})
    except ValidationError as error:
        raise InputError(f"{name}: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """One line for the first thing that pydantic found wrong: field (where it is one field alone), rule and value."""
    fault = error.errors()[0]
    field = f"field {'.'.join(str(part) for part in fault['loc'])}: " if fault["loc"] else ""
    given = fault.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float) else ""
    return f"{field}{fault['msg'].removeprefix('Value error, ')}{shown}"
