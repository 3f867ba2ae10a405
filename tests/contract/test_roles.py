"""What labels do: stated, or told by kind and name as in contracts of before; what nothing implements is refused."""

import pytest
from seams import INSTRUMENT, LOGG, MACRO, RESOLUTION, TEFF, VSINI, seam_contract
from synthetic import GAIA, GAIA_DR3, TINY

from stellar_emulator.broadening.disc_series import profile_of
from stellar_emulator.contract.roles import RESOLUTION as RESOLVING
from stellar_emulator.contract.roles import ROLES, ROTATION, Kind
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.scaled_labels import label_coordinates


def test_contracts_of_before_have_the_roles_of_their_names() -> None:
    assert [label.role for label in GAIA.labels] == ["run", "run", "vsini", "run", "run", "resolution"]
    assert [label.role for label in GAIA_DR3.labels] == ["run", "run", "vsini", "run", "run"]
    assert [label.role for label in TINY.labels] == ["run", "run", "vsini"]


def test_a_role_that_was_not_stated_is_not_dumped() -> None:
    """Keys of kept trainings are made of it."""
    assert all("role" not in label for label in GAIA.model_dump()["labels"])
    stated = seam_contract(TEFF, MACRO).model_dump()["labels"]
    assert [label.get("role") for label in stated] == [None, "macroturbulence"]


def test_a_role_says_the_kind() -> None:
    contract = seam_contract(TEFF, MACRO.replace("kind: broadening, ", ""))
    assert contract.labels[1].kind is Kind.BROADENING
    assert contract.of_role("macroturbulence") is contract.labels[1]
    assert contract.column_of("macroturbulence") == 1
    assert contract.column_of(RESOLVING) is None


def test_every_role_that_broadens_is_implemented() -> None:
    for role in ROLES.values():
        if role.kind is Kind.BROADENING and role.name not in (ROTATION, RESOLVING):
            assert callable(profile_of(role.name))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            (TEFF, MACRO.replace("role: macroturbulence", "role: twirl")),
            "label vmacro: role twirl is nothing that spectra are made with: give a role of vsini, resolution, macrotu",
        ),
        (
            (TEFF, MACRO.replace("role: macroturbulence, ", "")),
            "label vmacro: kind broadening, and its name is no role, is nothing .*: give a role of vsini, resolution, ",
        ),
        (
            (TEFF, MACRO.replace("kind: broadening, role: macroturbulence", "role: twirl")),
            "label vmacro: role twirl is nothing",
        ),
        ((TEFF.replace("kind: run", "kind: run, role: twirl"),), "label teff: role twirl is .* of run, element, vsini"),
        ((TEFF, MACRO.replace("kind: broadening", "kind: run")), "role macroturbulence is of kind broadening, not run"),
        ((TEFF, MACRO.replace("km/s", "m/s")), "label vmacro: role macroturbulence is in km/s, got unit 'm/s'"),
        ((TEFF, RESOLUTION.replace('""', "nm")), "label resolution: role resolution is without a unit, got unit 'nm'"),
        ((TEFF, VSINI.replace("lower: 0.0", "lower: -5.0")), r"vsini: lower \(-5\) must be 0 or more for role vsini"),
        (
            (TEFF, VSINI, VSINI.replace("name: vsini", "name: spin, role: vsini")),
            "vsini and spin have one role, vsini: leave one of them",
        ),
    ],
)
def test_a_misuse_is_refused_by_name(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        seam_contract(*labels)
    assert len(str(refused.value).splitlines()) == 1


def test_resolution_is_a_label_or_the_instrument_s_whatever_it_is_called() -> None:
    with pytest.raises(InputError, match="instrument: resolution is a label of this contract already"):
        seam_contract(TEFF, RESOLUTION.replace("name: resolution", "name: r, role: resolution"), more=INSTRUMENT)


def test_fits_move_evenly_along_what_broadening_adds_in() -> None:
    contract = seam_contract(TEFF, LOGG, MACRO, VSINI, RESOLUTION)
    assert label_coordinates(contract).power.tolist() == [1.0, 1.0, 2.0, 2.0, -2.0]


@pytest.mark.parametrize(
    "bins", ["", "teff: [4000.0, 5000.0, 7000.0], ", "teff: [4000, 7000], logg: [3, 4, 5], vsini: [0, 60], "]
)
def test_any_number_of_labels_is_binned(bins: str) -> None:
    contract = seam_contract(TEFF, LOGG, VSINI, bins=bins)
    assert len(contract.regions.bins) == bins.count("[")
    assert contract.first_binned == "teff"
