"""What a label does: belong to a run, or broaden its spectrum in one way. All roles there are; no other is applied.

A further way to broaden is an entry here and a file of its name in ``broadening``, whose function ``disc_and_limb``
gives its transfer function: grids, networks, their graphs and derivatives then have it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a label belongs to: the radiative-transfer run, or the broadening applied to its spectrum."""

    RUN = "run"
    BROADENING = "broadening"


@dataclass(frozen=True)
class Role:
    """One thing that a label can do.

    does: in a phrase; unit: that its label must have, None for any; lowest: what it may be at least; alone: whether
    one label of a contract has it at most; power: the one in which spectra change evenly by the label.
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
"""What a label of that role is called: the symbol, then the ratio that it is, to [M/H]."""

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
    """What a label does where its contract does not say, by kind and name; empty: nothing that is known."""
    if kind == Kind.RUN:
        return RUN
    known = ROLES.get(name)
    return name if known is not None and known.kind == kind else ""


def known_roles(kind: Kind | None = None) -> str:
    """Names of the roles, of one kind or of both, for messages."""
    return ", ".join(role.name for role in ROLES.values() if kind in (None, role.kind))
