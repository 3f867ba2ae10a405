"""Faults where no gate run lies: on the gate set each emulator is as good as the control, which is promoted."""

import numpy as np
import pytest
from world import CONTRACT, JUDGES, NAMES, SPECTRA, decided, emulator, refused_sections, unit

from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.decide import limits_of
from stellar_emulator.gate.fresh_labels import box_labels, fresh_seed, line_labels
from stellar_emulator.gate.smoothness import along, breaks, coarse_points

GATE = {row.tobytes() for row in SPECTRA.labels}
TEFF, LOGG, M_H, VMICRO = (NAMES.index(name) for name in ("teff", "logg", "m_h", "vmicro"))


def off_the_gate(labels: np.ndarray) -> np.ndarray:
    return np.array([row.tobytes() not in GATE for row in np.asarray(labels, dtype=float)])


def with_fault(where, flux_of):
    """The good emulator but for some rows that no gate spectrum is among."""

    def inner(labels: np.ndarray) -> np.ndarray:
        flux, rows = emulator(labels), where(labels) & off_the_gate(labels)
        if rows.any():
            flux[rows] = flux_of(labels[rows], flux[rows])
        return flux

    return Candidate(inner, JUDGES)


def flat(labels: np.ndarray, flux: np.ndarray) -> np.ndarray:
    return np.full_like(flux, 0.99)


def off_by(column: int, by: float):
    def inner(labels: np.ndarray, flux: np.ndarray) -> np.ndarray:
        moved = np.array(labels, dtype=float)
        moved[:, column] += by
        return emulator(moved)

    return inner


def reasons(decision) -> list[str]:
    return [f"{row.section} {row.name}" for row in decision.refusals]


def test_flux_that_is_right_at_the_gates_labels_alone_is_refused() -> None:
    decision = decided(with_fault(lambda labels: np.ones(len(labels), dtype=bool), flat))
    assert decision.strict
    assert "fresh" in refused_sections(decision)
    # On the gate set itself nothing is wrong but the Jacobian, which asks beside its labels.
    assert refused_sections(decision) <= {"fresh", "shift", "smooth"}
    assert any("RMSE over that on the gate set" in reason for reason in reasons(decision))


def test_flat_flux_in_a_box_where_no_gate_run_lies_is_refused_and_told_where() -> None:
    # A 500th of the box, of which the world's 4,096 draws find eight.
    inside = lambda labels: (np.abs(unit(labels)[:, [TEFF, LOGG, M_H]] - 0.2) < 0.125).all(axis=1)  # noqa: E731
    decision = decided(with_fault(inside, flat))
    assert refused_sections(decision) <= {"fresh", "smooth"}
    told = next(row for row in decision.refusals if row.section == "fresh" and row.figure)
    assert "worst at teff" in told.note
    control = decided(with_fault(lambda labels: np.zeros(len(labels), dtype=bool), flat))
    assert control.promoted


@pytest.mark.parametrize(
    ("name", "column", "moved"),
    [
        ("teff in steps", TEFF, lambda values: np.round(values / 200.0) * 200.0),
        ("vmicro ignored below 0.5", VMICRO, lambda values: np.maximum(values, 0.5)),
        ("logg jumps", LOGG, lambda values: values + 0.03 * (values > 3.3)),
    ],
)
def test_labels_in_steps_ignored_or_jumping_are_refused_for_that_label(name: str, column: int, moved) -> None:
    def changed(labels: np.ndarray, flux: np.ndarray) -> np.ndarray:
        other = np.array(labels, dtype=float)
        other[:, column] = moved(other[:, column])
        return emulator(other)

    decision = decided(with_fault(lambda labels: np.ones(len(labels), dtype=bool), changed))
    assert {"smooth"} <= refused_sections(decision) <= {"smooth", "fresh"}, name
    assert {row.name.split(":")[0] for row in decision.refusals if row.section == "smooth"} == {NAMES[column]}


def test_an_edge_shows_wherever_on_a_line_it_lies_and_a_curve_does_not() -> None:
    values = np.linspace(0.0, 1.0, 49)
    profile = np.exp(-0.5 * ((np.arange(120) - 60) / 5.0) ** 2)
    for place in (0.1, 0.47, 0.9):
        jumping = (values + 0.05 * (values > place))[:, None] * profile
        jump, _ = breaks(values, jumping.astype(np.float32))
        assert 0.05 < jump.max() < 0.15
    smooth = (values + 0.2 * values**3)[:, None] * profile
    assert breaks(values, smooth.astype(np.float32))[0].max() < 1e-3


def test_lines_are_coarse_only_where_fine_ones_are_smooth() -> None:
    limits = limits_of(CONTRACT).fresh
    smooth = along(CONTRACT, emulator, 3, TEFF, limits.lines)
    assert coarse_points(smooth, limits.jump * 100.0, limits.pixel_jump) < 192
    stepped = with_fault(lambda labels: labels[:, TEFF] > 6000.0, off_by(TEFF, 400.0)).emulator
    assert coarse_points(along(CONTRACT, stepped, 3, TEFF, limits.lines), limits.jump * 100.0, limits.pixel_jump) == 192


def test_fresh_labels_follow_from_the_digests_and_fill_the_box() -> None:
    seed = fresh_seed(["b" * 64, "a" * 64])
    assert seed == fresh_seed(["a" * 64, "b" * 64])
    assert seed != fresh_seed(["a" * 64, "c" * 64])
    drawn = np.concatenate(list(box_labels(CONTRACT, seed, 1000, 64)))
    assert drawn.shape == (1000, len(NAMES))
    assert (drawn >= CONTRACT.lower).all()
    assert (drawn <= CONTRACT.upper).all()
    np.testing.assert_allclose(unit(drawn).mean(axis=0), 0.0, atol=0.05)
    for line in line_labels(CONTRACT, seed, VMICRO, 3, 48):
        assert (np.diff(line[:, VMICRO]) > 0).all()
        assert (np.ptp(np.delete(line, VMICRO, axis=1), axis=0) == 0).all()
