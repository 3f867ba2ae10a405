"""A label: its name, unit, bounds and density, and what it does. `contract.checks` holds values to the bounds."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from stellar_emulator.contract.plain_text import Symbol, Unit
from stellar_emulator.contract.roles import ELEMENT, ELEMENT_NAME, ROLES, Kind, inferred_role, known_roles

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Label(BaseModel):
    """One stellar (or instrumental) label with its unit and inclusive bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Name = Field(description="Name of the label in columns, arguments and requests.")
    symbol: Symbol = Field(description="Symbol in LaTeX, for figures.")
    unit: Unit = Field(description="Unit of all its values, as astropy writes it; empty for a pure number.")
    lower: float = Field(description="Smallest value, inclusive; below `upper`.")
    upper: float = Field(description="Largest value, inclusive.")
    kind: Kind = Field(
        description="The step to which it belongs: radiative-transfer run or broadening; optional if `role` is given."
    )
    role: str = Field(
        default="",
        description=f"What it does: {known_roles()}; absent: its name if it is of kind broadening, else run.",
    )
    accuracy: bool = Field(description="Whether the gate judges its accuracy, which is otherwise only reported.")
    median: float | None = Field(
        default=None, description="Value between the bounds below which half of all draws lie; absent: uniform draws."
    )

    @model_validator(mode="before")
    @classmethod
    def _kind_and_role(cls, given: Any) -> Any:
        """Set kind and role, each from the other; an unknown role is left for the contract to report."""
        if not isinstance(given, dict):
            return given
        if not given.get("role"):
            return {**given, "role": inferred_role(str(given.get("name")), given.get("kind"))}
        known = ROLES.get(given["role"]) if isinstance(given["role"], str) else None
        return {"kind": Kind.BROADENING if known is None else known.kind, **given}

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a role that follows from kind and name."""
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
