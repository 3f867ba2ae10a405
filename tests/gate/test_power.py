"""The quick simulation of the ratio alone decides as the whole gate's figures of the same draw do."""

import numpy as np
from benchmarks.power import ratio_passes, resampled
from world import CONTRACT, GOOD, LIMITS, SPECTRA

from stellar_emulator.gate.label_statistics import error_sums, label_statistics
from stellar_emulator.gate.measured_spectra import measure

MEASURED = measure(CONTRACT, SPECTRA, GOOD, None)
MARGINS = np.array([LIMITS.ratio[label.name] for label in CONTRACT.accuracy_labels])


def passes_the_gate(seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    drawn, swapped = random.integers(MEASURED.runs, size=MEASURED.runs), random.random(MEASURED.runs) < 0.5
    sets = [resampled(CONTRACT, MEASURED, drawn, way, LIMITS.ratio) for way in (None, swapped)]
    return [
        label_statistics(CONTRACT, LIMITS, each, CONTRACT.sampling.gate_seed).ratio_upper < MARGINS for each in sets
    ]


def test_a_ratio_alone_passes_where_the_gate_would_pass_it() -> None:
    test, generated, *_ = error_sums(MEASURED)
    alone = np.array([ratio_passes(CONTRACT, test, generated, MEASURED.runs, seed) for seed in range(25)])
    np.testing.assert_array_equal(alone, [passes_the_gate(seed) for seed in range(25)])
    assert alone.any(axis=(0, 2)).all()
    assert not alone.all()
