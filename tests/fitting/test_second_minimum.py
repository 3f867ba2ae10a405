"""Two minima that a spectrum hardly tells apart: intervals and covariance of both."""

from dataclasses import replace

import numpy as np
import pytest

from stars import ARCHIVE, archive_spectrum, star
from stellar_emulator.fitting.estimate import Pair, fit
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.second_minimum import merged
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.observed.spectrum import ObservedSpectrum

TURBULENCE = ARCHIVE.label_names.index("vmicro")


@pytest.fixture
def solution(archive_pair: Pair) -> Solution:
    made = archive_spectrum(star(ARCHIVE), 100.0, 0.0, 3)
    there = np.isfinite(made.flux)
    seen = ObservedSpectrum("a star", 10.0 * made.wavelength[there], "vacuum", made.flux[there], made.flux_error[there])
    return fit(seen, archive_pair, Treatment(None, 3), {}).solution


def elsewhere(solution: Solution, vmicro: float, worse: float) -> Solution:
    """The same fit with another microturbulence, whose chi-square is larger."""
    labels = solution.parameters.labels.copy()
    shift = vmicro - labels[TURBULENCE]
    labels[TURBULENCE] = vmicro
    lower, upper = solution.lower.copy(), solution.upper.copy()
    lower[TURBULENCE] += shift
    upper[TURBULENCE] += shift
    moved = replace(solution.parameters, labels=labels)
    chi_square = solution.chi_square + worse / solution.thinning
    return replace(solution, parameters=moved, lower=lower, upper=upper, chi_square=chi_square)


def test_both_widen_the_interval_of_what_they_differ_in(solution: Solution) -> None:
    both = merged(solution, elsewhere(solution, 3.0, 0.0), ARCHIVE)
    assert both.lower[TURBULENCE] <= solution.lower[TURBULENCE]
    assert both.upper[TURBULENCE] > 2.9
    assert np.sqrt(both.covariance[TURBULENCE, TURBULENCE]) > 0.45 * abs(3.0 - solution.parameters.labels[TURBULENCE])
    others = np.arange(len(ARCHIVE.labels)) != TURBULENCE
    np.testing.assert_allclose(both.upper[others], solution.upper[others], atol=0.1 * solution.error[others].max())
    assert (both.parameters.labels == solution.parameters.labels).all()


def test_one_that_is_certainly_worse_changes_nothing(solution: Solution) -> None:
    assert merged(solution, elsewhere(solution, 3.0, 10.0), ARCHIVE) is solution


def test_what_priors_say_counts_in_full(solution: Solution) -> None:
    other = elsewhere(solution, 3.0, 0.0)
    assert merged(solution, replace(other, pull=solution.pull + 9.5), ARCHIVE) is solution


def test_one_that_is_somewhat_worse_counts_little(solution: Solution) -> None:
    widths = [merged(solution, elsewhere(solution, 3.0, worse), ARCHIVE).error[TURBULENCE] for worse in (0.0, 2.0, 6.0)]
    assert widths[0] >= widths[1] >= widths[2]
    assert widths[2] < 1.3 * solution.error[TURBULENCE]
