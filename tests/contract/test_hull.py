"""Labels beyond the hull of a grid's nodes."""

from pathlib import Path

import numpy as np
import pytest

from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.contract.hull import check_hull, hull_distance, middle, within_hull
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.warn import about_labels

TEXT = (Path(__file__).parents[1] / "data" / "tiny_contract.yaml").read_text()
CORNERS = "[[4000, -1.0], [8000, -1.0], [4000, 0.5]]"


def contract(outside: str = "refuse", corners: str = CORNERS) -> Contract:
    return parse_contract(f"{TEXT}hull: {{outside: {outside}, distance: 0.05, corners: {corners}}}\n")


def test_labels_within_and_near_the_hull_pass() -> None:
    inside = np.array([[4500.0, -0.5, 10.0], [4000.0, -1.0, 0.0], [6000.0, -0.25, 0.0], [6100.0, -0.25, 0.0]])
    check_hull(contract(), inside)
    assert (hull_distance(contract(), inside) < 0.05).all()


def test_labels_of_the_box_are_brought_within_the_hull() -> None:
    """Models are compared with their graphs there: beyond it they answer with numbers of any size."""
    own = contract()
    box = own.lower + np.random.default_rng(1).random((200, 3)) * (own.upper - own.lower)
    found, outside = within_hull(own, box), hull_distance(own, box) > 0.0
    assert 20 < outside.sum() < 180
    assert (hull_distance(own, found) <= 0.0).all()
    np.testing.assert_array_equal(found[~outside], box[~outside])
    # On the way to the middle.
    way = (found - middle(own))[outside] / (box - middle(own))[outside]
    np.testing.assert_allclose(way, way[:, [0]] * np.ones(3), rtol=1e-9)
    whole = parse_contract(TEXT)
    np.testing.assert_array_equal(within_hull(whole, box), box)


def test_labels_beyond_the_hull_are_refused_or_warned_of() -> None:
    labels = np.array([[4500.0, -0.5, 10.0], [8000.0, 0.5, 10.0]])
    said = r"teff = 8000, m_h = 0.5 in row 7 lies 0.71 label ranges beyond the hull"
    with pytest.raises(InputError, match=said):
        check_hull(contract(), labels, 6)
    with pytest.warns(UserWarning, match=said):
        check_hull(contract("warn"), labels, 6)
    check_hull(parse_contract(TEXT), labels)


def test_a_corner_has_a_value_for_each_label_of_the_run() -> None:
    with pytest.raises(InputError, match="hull: give each corner 2 values"):
        contract(corners="[[4000], [8000]]")


def test_labels_found_of_a_star_beyond_the_hull_have_a_warning() -> None:
    free = np.ones(3, dtype=bool)
    (warning,) = about_labels(contract(), np.array([7900.0, 0.4, 10.0]), free)
    assert "teff = 7900, m_h = 0.4 lies" in warning
    assert "beyond the hull" in warning
    assert about_labels(contract(), np.array([4500.0, -0.5, 10.0]), free) == []
