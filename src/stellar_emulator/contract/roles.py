"""All roles that a label can have: it belongs to a run, or it broadens the spectrum in one way. No other is applied.

A further way to broaden needs an entry here and a file of its name in ``broadening``, whose function ``disc_and_limb``
gives its transfer function; grids, networks, their graphs and derivatives then include it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The step to which a label belongs: the radiative-transfer run, or the broadening of its spectrum."""

    RUN = "run"
    BROADENING = "broadening"


@dataclass(frozen=True)
class Role:
    """One role of a label.

    does: its effect, in a phrase; unit: the unit that its label must have, None for any; lowest: the smallest value
    allowed; alone: whether at most one label of a contract may have it; power: the power of the label in which spectra
    change evenly.
    """

    name: str
    kind: Kind
    does: str
    unit: str | None = None
    lowest: float | None = None
    alone: bool = True
    power: float = 1.0


RUN = "run"
ELEMENT = "element"
ELEMENT_NAME = r"([a-z]{1,2})_m"
"""Name of a label of that role: the element's symbol, followed by _m for the ratio [X/M]."""

ROTATION = "vsini"
RESOLUTION = "resolution"

ROLES = {
    role.name: role
    for role in (
        Role(RUN, Kind.RUN, "a label of the run, which the engine takes by its name", alone=False),
        Role(ELEMENT, Kind.RUN, "abundance of one element in the run, [X/M], named as ca_m is", "dex", alone=False),
        Role(ROTATION, Kind.BROADENING, "projected velocity of rotation", "km/s", 0.0, power=2.0),
        Role(RESOLUTION, Kind.BROADENING, "of the spectrograph, wavelength over FWHM", "", 1.0, power=-2.0),
        Role("macroturbulence", Kind.BROADENING, "radial-tangential macroturbulence", "km/s", 0.0, power=2.0),
    )
}


def inferred_role(name: str, kind: object) -> str:
    """Role of a label whose contract states none, by kind and name; empty if there is no such role."""
    if kind == Kind.RUN:
        return RUN
    known = ROLES.get(name)
    return name if known is not None and known.kind == kind else ""


def known_roles(kind: Kind | None = None) -> str:
    """Names of the roles, of one kind or of both, for messages."""
    return ", ".join(role.name for role in ROLES.values() if kind in (None, role.kind))
