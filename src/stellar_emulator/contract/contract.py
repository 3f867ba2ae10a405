"""The data contract: labels, wavelength axis, flux range and sampling, read from one YAML file into frozen types."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
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
from stellar_emulator.contract.gate_limits import VELOCITY, GateLimits
from stellar_emulator.contract.label import Label, Name
from stellar_emulator.contract.medium import converted
from stellar_emulator.contract.plain_text import LineName, ModelName, Sentence
from stellar_emulator.contract.roles import RESOLUTION, ROLES, Kind, known_roles
from stellar_emulator.errors import InputError
from stellar_emulator.shipped.resources import contract_file, contract_names
from stellar_emulator.system.plain_yaml import parse_yaml, read_text

LineDataName = Literal["published", "calibrated"]

DepartingLines = Literal["ca_ii"]

CALCIUM = "ca_m"
"""Label of its abundance by itself."""

OF_DEPARTURES = ("teff", "logg", "m_h", "alpha_m", "vmicro")
"""Labels of kind run on which departures from LTE depend."""

FURTHER = ".expectations.yaml"
"""What a file of further expectations is called, in place of a contract's ``.yaml``, beside it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    """Linear limb darkening for intrinsic spectra without their own: a constant, or a table by a label."""

    value: float | None = Field(default=None, ge=0, le=1, description="Value for all runs, in place of a table.")
    label: Name | None = Field(default=None, description="Label of the run by which the table is ordered.")
    at: tuple[float, ...] | None = Field(default=None, description="Values of that label, ascending, two or more.")
    values: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = Field(
        default=None, description="Limb darkening at each of these values; linear between them, constant beyond."
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


class Hull(_Frozen):
    """The convex region in which a grid has runs, and what becomes of labels beyond it, where emulators extrapolate."""

    outside: Literal["refuse", "warn"] = Field(description="What becomes of labels farther outside than `distance`.")
    distance: float = Field(
        ge=0, description="Distance beyond the hull up to which labels are answered, in units of the labels' ranges."
    )
    labels: tuple[str, ...] | None = Field(
        default=None,
        description="Labels of the run that the corners are given in; absent: all. Where labels are drawn these are "
        "two, such as `teff` and `logg`: the second is drawn between the hull's bounds at the first.",
    )
    corners: tuple[tuple[float, ...], ...] = Field(
        min_length=2, description="Those labels at the corners, in their order."
    )

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the labels, which earlier versions did not have, where they are all."""
        return {name: value for name, value in handler(self).items() if name != "labels" or value is not None}


class Instrument(_Frozen):
    """The spectrograph, if its resolution is the same for all spectra and therefore not a label."""

    resolution: float = Field(gt=0, description="Resolution of all spectra, wavelength over FWHM; at most `sharpest`.")
    sharpest: float = Field(
        gt=0,
        description="Resolution at which exact emulators are trained, before they broaden to `resolution`; an emulator "
        "of another contract also serves this one if both contracts agree in it.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.resolution > self.sharpest:
            raise ValueError(f"instrument: resolution ({self.resolution}) must not exceed sharpest ({self.sharpest})")
        return self


"""Names that are the same in addresses, queries and paths."""


class ModelNames(_Frozen):
    """Names of the registered models; each contract has its own."""

    emulator: ModelName = Field(description="Name of the emulator in the registry.")
    validator: ModelName = Field(description="Name of the validator in the registry.")


class Sampling(_Frozen):
    """Seeds of the two independent label sequences, and the broadening draws of each run."""

    seed: int = Field(description="Seed of the runs on which models are trained and tested.")
    gate_seed: int = Field(description="Seed of the runs that only the gate reads; it differs from `seed`.")
    realisations: int = Field(ge=1, description="Number of broadened spectra of each run.")
    runs: Literal["drawn", "nodes"] = Field(
        default="drawn",
        description="How the labels of runs were chosen: `drawn` over the whole box, or on the `nodes` of a published "
        "grid, which may lie anywhere in it.",
    )

    @property
    def on_nodes(self) -> bool:
        """Whether runs lie on nodes of their labels."""
        return self.runs == "nodes"

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out how runs were chosen, which earlier versions did not state, if they were drawn."""
        return {name: value for name, value in handler(self).items() if name != "runs" or value != "drawn"}

    @model_validator(mode="after")
    def _independent(self) -> Self:
        if self.seed == self.gate_seed:
            raise ValueError("sampling: seed and gate_seed must differ, or the gate reads the training runs")
        return self


class Split(_Frozen):
    """Shares of the runs in each part; they sum to 1."""

    train: float = Field(gt=0, description="Share to which networks are fitted.")
    validation: float = Field(gt=0, description="Share that decides when training stops and what searches choose.")
    test: float = Field(gt=0, description="Share on which models are measured, and which nothing else reads.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.validation + self.test - 1.0) > 1e-9:
            raise ValueError("split: train, validation and test must sum to 1")
        return self


class Regions(_Frozen):
    """Bins of labels, the hard region and the line cores by which figures of merit are broken down.

    Each further field is the name of a label with the edges of its bins; there may be none, one or several. Maps of
    regions show the first two.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Annotated[list[float], Field(description="Edges of a label's bins, ascending.")]] = (
        Field(init=False)
    )

    hard: dict[str, tuple[float, float]] = Field(description="Label ranges that together bound the hard region.")
    line_cores: dict[LineName, float] = Field(description="Centres of lines in Angstrom, by the line's name.")
    line_core_half_width: float = Field(
        gt=0, description="Half width of a line core, in Angstrom to either side of the line's centre."
    )
    equivalent_width_half_width: float = Field(
        gt=0, description="Half width in Angstrom over which a line is integrated."
    )

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

    name: Name = Field(description="Name of the contract, of its embedded grid and of its shipped pair.")
    description: Sentence = Field(description="One sentence for people.")
    models: ModelNames = Field(description="Names under which its models are registered.")
    labels: tuple[Label, ...] = Field(
        min_length=1, description="The labels, in the order of every table; at least one is of kind run."
    )
    wavelength: WavelengthAxis = Field(description="Pixels of every spectrum.")
    flux: FluxRange = Field(description="Range of the flux.")
    intrinsic: IntrinsicAxis | None = Field(
        default=None, description="Pixels of unbroadened spectra; absent: grids hold only broadened spectra."
    )
    instrument: Instrument | None = Field(
        default=None, description="The instrument, if resolution is not a label; absent: it is one, or is unknown."
    )
    limb_darkening: LimbDarkening | None = Field(
        default=None, description="For intrinsic spectra without their own; absent: they have one, or need none."
    )
    line_data: LineDataName = Field(
        default="published",
        description="Of its runs: `published`, line lists as their authors left them, or `calibrated` on reference "
        "stars.",
    )
    departures: DepartingLines | None = Field(
        default=None,
        description="Lines that depart from LTE, where runs were computed in it: `ca_ii`, its triplet; absent: none.",
    )
    embedded: Name | None = Field(
        default=None, description="Contract whose embedded intrinsic spectra also serve this one; absent: its own."
    )
    hull: Hull | None = Field(default=None, description="Where the grid has runs; absent: in the whole label box.")
    sampling: Sampling = Field(description="How labels are drawn.")
    split: Split = Field(description="Which runs train, validate and test.")
    regions: Regions = Field(description="How figures of merit are broken down.")
    gate: GateLimits | None = Field(default=None, description="Limits that a champion must meet; absent: no promotion.")
    expectations: Expectations = Field(
        default_factory=Expectations, description="Requirements on spectra besides bounds and axis."
    )
    digest: str = Field(default="", description="SHA-256 of the file; set when it is read.")
    source: str = Field(default="", description="The file's text; set when it is read.")
    expectations_digest: str = Field(
        default="", description="SHA-256 of the file of further expectations, if any; set when it is read."
    )

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
        self._check_hull()
        missing = sorted(set(OF_DEPARTURES) - {label.name for label in self.run_labels})
        if self.departures is not None and (missing or self.intrinsic is None):
            what = f"labels of kind run ({', '.join(missing)} missing)" if missing else "an intrinsic axis"
            raise ValueError(f"departures: {self.departures} needs {what}; add that, or leave departures out")
        if self.departures is not None and CALCIUM in names:
            raise ValueError(f"departures: {self.departures} follows alpha_m, not {CALCIUM}; leave one of them out")
        misnamed = self.expectations.fault(names, self.regions.line_cores)
        if misnamed:
            raise ValueError(f"expectations: {misnamed}")
        gated = {label.name for label in self.labels if label.accuracy}
        for field, limits in self.gate.by_label.items() if self.gate else ():
            if set(limits) != gated:
                raise ValueError(f"gate.{field}: give every accuracy label and no other: {', '.join(sorted(gated))}")
        if self.gate and self.gate.observed:
            foreign = sorted(set(self.gate.observed.shift) - {*names, VELOCITY})
            if foreign:
                known = ", ".join([*names, VELOCITY])
                raise ValueError(f"gate.observed.shift: {', '.join(foreign)} is none of {known}")
        return self

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out fields that earlier versions did not have, if this contract does not use them."""
        recent = {
            "limb_darkening": None,
            "expectations_digest": "",
            "line_data": "published",
            "departures": None,
            "hull": None,
        }
        return {name: value for name, value in handler(self).items() if name not in recent or value != recent[name]}

    def _check_hull(self) -> None:
        if self.hull is None:
            return
        own = [label.name for label in self.run_labels]
        named = self.hull.labels if self.hull.labels is not None else tuple(own)
        if not set(named) <= set(own) or list(named) != [name for name in own if name in named]:
            raise ValueError(
                f"hull.labels: give labels of kind run, each once and in their order ({', '.join(own)}), "
                f"got {', '.join(named)}"
            )
        if any(len(corner) != len(named) for corner in self.hull.corners):
            which = "label of kind run" if self.hull.labels is None else "of hull.labels"
            raise ValueError(f"hull: give each corner {len(named)} values, one for each {which}")
        if self.sampling.on_nodes or self.hull.labels is None:
            return
        if len(named) != 2:
            raise ValueError(
                f"hull.labels: labels are drawn within a hull of two of them, got {', '.join(named)}; give two, or "
                "`sampling: {runs: nodes}` if runs lie on nodes"
            )
        bounds = [label for label in self.run_labels if label.name in named]
        for place, label in enumerate(bounds):
            values = [corner[place] for corner in self.hull.corners]
            if min(values) != label.lower or max(values) != label.upper:
                raise ValueError(
                    f"hull.corners: {label.name} must reach from bound to bound ({label.lower:g} to {label.upper:g}) "
                    f"where labels are drawn, got {min(values):g} to {max(values):g}"
                )

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
        """The label that has a role which at most one label has; None if there is none."""
        return next((label for label in self.labels if label.role == role), None)

    def column_of(self, role: str) -> int | None:
        """Index of that label among all labels; None if no label has the role."""
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
        """The label along which figures are drawn: the first with bins, or else the first of all."""
        return next(iter(self.regions.bins), self.labels[0].name)

    def columns(self, labels: tuple[Label, ...]) -> list[int]:
        """Positions of some of the labels among all."""
        return [self.label_names.index(label.name) for label in labels]


def read_contract(where: str | Path) -> Contract:
    """Read and check a data contract: a YAML file, or one that comes with the package, by its name.

    Of ``mine.yaml``, expectations of a file ``mine.expectations.yaml`` beside it are added to its own.

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or breaks a rule; the message names field, value and rule.
    """
    shipped = contract_names()
    path = contract_file(str(where)) if str(where) in shipped else Path(where)
    text = _text(path, shipped)
    contract = parse_contract(text, str(path))
    _require_reach(contract, path)
    return _with_further(contract, path.with_name(f"{path.stem}{FURTHER}"))


def _require_reach(contract: Contract, path: Path) -> None:
    """Return if intrinsic spectra, where the contract has such, reach over its wavelengths: an axis that was copied
    from another contract does not. Models that carry such a contract, and broaden nothing by it, can still be read."""
    if contract.intrinsic is None:
        return
    own, wide = contract.wavelength, contract.intrinsic
    ends = converted(np.array([own.start, own.stop]), own.medium, wide.medium)
    if ends[0] < wide.start or ends[1] > wide.stop:
        raise InputError(
            f"{path}: wavelength, {ends[0]:.1f} to {ends[1]:.1f} {own.unit} in {wide.medium}, reaches beyond "
            f"intrinsic, {wide.start:.1f} to {wide.stop:.1f}: give that the same range and some {own.unit} "
            "more, or leave it out if no spectra are unbroadened"
        )


def _text(path: Path, shipped: list[str]) -> str:
    try:
        return read_text(path, f"data contract {path}")
    except FileNotFoundError as error:
        raise InputError(
            f"data contract {path} can't be read: it is no file, nor the name of one that comes with the package "
            f"({', '.join(shipped)})"
        ) from error
    except OSError as error:
        raise InputError(f"data contract {path} can't be read: {error}") from error


def _with_further(contract: Contract, path: Path) -> Contract:
    """The contract with the expectations of the file beside it, if there is one.

    They stand apart because no model depends on them: sharper limits for grids make no other contract of it.
    """
    if not path.is_file():
        return contract
    try:
        text = read_text(path, f"expectations {path}")
        content = parse_yaml(text, str(path))
        expectations = contract.expectations.with_further(Expectations.model_validate(content))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {first_fault(error)}") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    misnamed = expectations.fault(contract.label_names, list(contract.regions.line_cores))
    if misnamed:
        raise InputError(f"{path}: {misnamed}")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return contract.model_copy(update={"expectations": expectations, "expectations_digest": digest})


def parse_contract(text: str, name: str = "data contract") -> Contract:
    """Check a data contract given as text; ``name`` is used in error messages. Raises like `read_contract`."""
    content = parse_yaml(text, name)
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
