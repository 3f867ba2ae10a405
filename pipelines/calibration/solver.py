"""Gauss-Newton for all lines, molecules and labels at once, with a ridge prior."""

from dataclasses import dataclass, replace

import numpy as np
from benchmarks.computed_star import AXIS, BOUNDS, Computer, Overlay, nuisance_columns, seen
from numpy.typing import NDArray

from pipelines.calibration.lines import DAMPING, MOLECULE
from pipelines.calibration.problem import CA_II_DAMPING, Problem, State, whole_rows
from pipelines.calibration.references import Reference
from stellar_emulator.grid.engines.synspec.line_changes import GAIA_ESO, LineChanges

SHARP = 15000.0
"""Resolution from which a spectrum says something of damping."""

GF_STEP, DAMPING_STEP = 0.15, 0.15
"""dex, for derivatives."""

LEAST_SHOWN = 0.0012
"""Flux that 0.2 dex must change in some star for a line to be fitted."""

LARGEST = 1.5
"""dex that a line may be changed by: one that asks for more is another line."""


LARGEST_STEP = 0.4
"""dex in one round."""

Slopes = dict[int, NDArray[np.float64]]
"""Derivatives of intrinsic flux, shape (bins,) each, by line or by what is changed as a whole."""


@dataclass(frozen=True)
class Share:
    """What one star says: its normal equations, with its own labels and nuisances behind the changes of lines.

    inner: shape (changes + own, changes + own); outer: shape (changes + own,); solved: inverse of the own block; names:
    of the star's free labels, first among its own.
    """

    star: Reference
    names: list[str]
    inner: NDArray[np.float64]
    outer: NDArray[np.float64]
    solved: NDArray[np.float64]
    width: int

    @property
    def normal(self) -> NDArray[np.float64]:
        """Of the changes alone: what is the star's own is eliminated (Schur complement)."""
        across = self.inner[: self.width, self.width :]
        return np.asarray(self.inner[: self.width, : self.width] - across @ self.solved @ across.T)

    @property
    def right(self) -> NDArray[np.float64]:
        """Right-hand side of `normal`."""
        across = self.inner[: self.width, self.width :]
        return np.asarray(self.outer[: self.width] - across @ self.solved @ self.outer[self.width :])

    def move_labels(self, step: NDArray[np.float64]) -> None:
        """Take the star's labels to where they fit best once the changes have moved by ``step``."""
        own = self.solved @ (self.outer[self.width :] - self.inner[self.width :, : self.width] @ step)
        for name, change in zip(self.names, own[: len(self.names)], strict=True):
            self.star.labels[name] = float(np.clip(self.star.labels[name] + change, *BOUNDS[name]))


class Solver:
    """Rounds of Gauss-Newton by the derivatives of the first (chords): residuals are computed anew in each."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.count = len(problem.lines)
        self.slopes: dict[str, tuple[Slopes, Slopes]] = {}
        self.by_label: dict[str, dict[str, NDArray[np.float64]]] = {}
        self.shown: dict[int, list[str]] = {}
        self.errors: NDArray[np.float64] = np.zeros(0)

    def round(self, state: State, number: int) -> State:
        """One step for all lines, molecules and labels at once."""
        self.shown = {}
        shares = [self._share(star, state, number) for star in self.problem.stars]
        prior = self._prior()
        now = np.concatenate([state.gf, state.damping, [state.wholes[code] for code in self.problem.wholes]])
        normal = np.sum([share.normal for share in shares], axis=0) + np.diag(1.0 / prior**2)
        right = np.sum([share.right for share in shares], axis=0) - now / prior**2
        step = np.linalg.solve(normal, right)
        self.errors = np.sqrt(np.diag(np.linalg.inv(normal)))
        for share in shares:
            share.move_labels(step)
        moved = np.clip(now + np.clip(step, -LARGEST_STEP, LARGEST_STEP), -LARGEST, LARGEST)
        constrained = [line in self.shown for line in range(self.count)]
        wholes = dict(zip(self.problem.wholes, moved[2 * self.count :].tolist(), strict=True))
        told = ", ".join(f"{code} {value:+.3f}" for code, value in wholes.items())
        print(f"round {number}: {told}; {sum(constrained)} lines", flush=True)
        return State(np.where(constrained, moved[: self.count], 0.0), moved[self.count : 2 * self.count], wholes)

    def _prior(self) -> NDArray[np.float64]:
        by_line = [line.prior for line in self.problem.lines]
        wholes = [DAMPING if code == CA_II_DAMPING else MOLECULE for code in self.problem.wholes]
        return np.array([*by_line, *[DAMPING] * self.count, *wholes])

    def _share(self, star: Reference, state: State, number: int) -> Share:
        overlay, design, names = self._design(star, state)
        weight = 1.0 / star.laid.spread(overlay)[overlay.used]
        rows, target = design[overlay.used] * weight[:, None], overlay.residual[overlay.used] * weight
        inner, outer = rows.T @ rows, rows.T @ target
        width = 2 * self.count + len(self.problem.wholes)
        for place, name in enumerate(names, start=width):
            inner[place, place] += 1.0 / star.free[name] ** 2
            outer[place] += (star.start[name] - star.labels[name]) / star.free[name] ** 2
        shown = f"rms {overlay.rms():.5f}, {overlay.rms(2.0):.5f} without Ca II, mae {overlay.mae(1.5):.5f}"
        labels = " ".join(f"{name} {star.labels[name]:.4g}" for name in names)
        print(f"round {number}: {star.star.name}: {shown}; {labels}", flush=True)
        solved = np.asarray(np.linalg.pinv(inner[width:, width:], rcond=1e-13, hermitian=True), dtype=np.float64)
        return Share(star, names, inner, outer, solved, width)

    def _design(self, star: Reference, state: State) -> tuple[Overlay, NDArray[np.float64], list[str]]:
        """Derivatives of a star's pixels by lines, damping, wholes, then its free labels and nuisances."""
        computer = self.problem.computer(state)
        overlay = star.laid_over(computer(star.labels))
        by_gf, by_damping = self._line_slopes(star, state)
        by_label = self._label_slopes(star, computer)
        pixels = [(line, slope) for line, slope in by_gf.items()]
        pixels += [(self.count + line, slope) for line, slope in by_damping.items()]
        pixels += list(enumerate(self._whole_slopes(star, state).values(), start=2 * self.count))
        design = np.zeros((len(overlay.star.wavelength), 2 * self.count + len(self.problem.wholes)))
        for place, slope in pixels:
            design[:, place] = seen(slope, overlay.star.wavelength, overlay.nuisance)
        visible = np.abs(0.2 * design[overlay.used, : self.count]).max(axis=0) >= LEAST_SHOWN
        for line in np.flatnonzero(visible).tolist():
            self.shown.setdefault(line, []).append(star.star.name)
        own = [seen(slope, overlay.star.wavelength, overlay.nuisance) for slope in by_label.values()]
        own += [overlay.model * column for column in star.laid.basis.T] + nuisance_columns(overlay)
        return overlay, np.concatenate([design, np.stack(own, axis=1)], axis=1), list(by_label)

    def _line_slopes(self, star: Reference, state: State) -> tuple[Slopes, Slopes]:
        # Spectra of the Sun share its derivatives.
        name = str(sorted(star.start.items()))
        if name not in self.slopes:
            by_gf = self.problem.slopes(state, star.labels, range(self.count), gf=GF_STEP)
            by_gf = {line: slope for line, slope in by_gf.items() if _visible(slope)}
            sharp = star.how.resolution >= SHARP
            strong = [line for line, slope in by_gf.items() if _winged(slope)] if sharp else []
            by_damping = self.problem.slopes(state, star.labels, strong, damping=DAMPING_STEP) if strong else {}
            self.slopes[name] = by_gf, by_damping
        return self.slopes[name]

    def _whole_slopes(self, star: Reference, state: State) -> Slopes:
        """Anew in each round: a molecule's weak lines grow in proportion, so that one slope doesn't serve for long."""
        base = self.problem.computer(state)(star.labels)
        return {
            code: (self.problem.computer(state.with_whole(code, change + 0.1))(star.labels) - base) / 0.1
            for code, change in state.wholes.items()
        }

    def _label_slopes(self, star: Reference, computer: Computer) -> dict[str, NDArray[np.float64]]:
        if star.star.name not in self.by_label:
            base = computer(star.labels)
            steps = {"teff": 40.0, "logg": 0.08, "m_h": 0.06, "vmicro": 0.12, "alpha_m": 0.05, "n_m": 0.1}
            self.by_label[star.star.name] = {
                name: (computer({**star.labels, name: star.labels[name] + steps[name]}) - base) / steps[name]
                for name in star.free
            }
        return self.by_label[star.star.name]

    def table(self, state: State) -> LineChanges:
        """The final table, with errors and the stars that constrain each line."""
        gf_errors, damping_errors = self.errors[: self.count], self.errors[self.count :]
        rows = []
        for number, line in enumerate(self.problem.lines):
            gf, damping = float(state.gf[number]), float(state.damping[number])
            if number not in self.shown or (abs(gf) < 0.01 and abs(damping) < 0.02 and line.source == GAIA_ESO):
                continue
            row = replace(
                line.row,
                log_gf_change=round(gf, 3),
                log_gf_error=round(float(gf_errors[number]), 3),
                van_der_waals_change=round(damping, 3),
                van_der_waals_error=round(float(damping_errors[number]), 3) if damping else 0.0,
                stars="; ".join(self.shown[number]),
            )
            rows.append(row)
        stars = "; ".join(star.star.name for star in self.problem.stars)
        for code, error in zip(self.problem.wholes, self.errors[2 * self.count :], strict=True):
            rows += whole_rows(code, state.wholes[code], float(error), stars)
        return LineChanges(tuple(rows))


def _visible(slope: NDArray[np.float64]) -> bool:
    return bool(np.abs(slope).max() > 0.004)


def _winged(slope: NDArray[np.float64]) -> bool:
    """Whether a line's change reaches further than a Doppler core: half an Angstrom and more."""
    peak = int(np.argmax(np.abs(slope)))
    far = np.abs(AXIS.wavelength - AXIS.wavelength[peak]) > 0.35
    return bool(np.abs(slope[far]).max() > 0.012)
