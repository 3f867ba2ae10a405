"""A world whose true spectrum is a formula: six lines, one a label, with judges by least squares.

The judges are linear and the lines are not, so that they err; the emulator is the formula with a small ripple.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from synthetic import SMALL

from stellar_emulator.contract.gate_limits import FluxCeilings, FreshLimits, GateLimits
from stellar_emulator.evaluation.evaluation import Model
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.decide import decide
from stellar_emulator.gate.decision import Criterion, Decision
from stellar_emulator.gate.evidence import Evidence
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import drawn_labels
from stellar_emulator.grid.store import Rows

LIMITS = GateLimits(
    runs=400,
    spectra=2000,
    judges=3,
    resamples=2000,
    confidence=0.95,
    skill={"teff": 0.98, "logg": 0.95, "vsini": 0.98, "m_h": 0.98, "vmicro": 0.6},
    ratio={"teff": 1.1, "logg": 1.1, "vsini": 1.1, "m_h": 1.1, "vmicro": 1.25},
    strict_ratio=1.1,
    smooth_ratio=0.9,
    bias=0.25,
    shift={"teff": 60.0, "logg": 0.05, "vsini": 3.0, "m_h": 0.04, "vmicro": 0.25},
    determined_signal_to_noise=100.0,
    determined_share=0.5,
    region_ratio={"teff": 1.25, "logg": 1.25, "vsini": 1.25, "m_h": 1.25, "vmicro": 1.5},
    region_skill=0.5,
    flux_error=FluxCeilings(mae=4e-4, p90_mae=6e-4, hard_mae=5e-4, core_mae=1e-3),
    fresh=FreshLimits(spectra=4096, lines=8, coarse=768),
)
CONTRACT = SMALL.model_copy(update={"gate": LIMITS})
NAMES = CONTRACT.label_names
PIXELS = np.arange(CONTRACT.wavelength.count)
LINES = {"teff": 10.0, "logg": 28.0, "vsini": 60.0, "m_h": 78.0, "vmicro": 95.0, "resolution": 110.0}
DEPTH, WIDTH, CURVATURE = 0.08, 2.5, 0.1

EVIDENCE = Evidence(
    smoke=False,
    contract_digests={"emulator": "c1", "validator": "c1", "gate grid": "c1"},
    judge_presets={"default": "p1", "judge 1": "p1"},
    leaked_runs=0,
    validation_passed=True,
    attempts_before=2,
    judge_seeds=(1, 2, 3),
)
SERVES = (Criterion("serves", "one request answered", None, None, True),)

Move = Callable[[np.ndarray], np.ndarray]


def unit(labels: np.ndarray) -> np.ndarray:
    """Labels from -1 to 1 over their ranges."""
    return (2.0 * labels - CONTRACT.lower - CONTRACT.upper) / (CONTRACT.upper - CONTRACT.lower)


def spectrum(labels: np.ndarray) -> np.ndarray:
    """The true flux (n, pixels) of labels (n, labels)."""
    position = unit(np.asarray(labels, dtype=float))
    strength = DEPTH * (position + CURVATURE * position**2)
    profiles = np.exp(-0.5 * ((PIXELS - np.array(list(LINES.values()))[:, None]) / WIDTH) ** 2)
    return 0.7 - strength @ profiles


def emulator(labels: np.ndarray, ripple: float = 1e-4) -> np.ndarray:
    """A good emulator: the truth, and a ripple that varies with the labels."""
    phase = 3.0 * unit(np.asarray(labels, dtype=float)).sum(axis=1, keepdims=True) + PIXELS / 3.0
    return (spectrum(labels) + ripple * np.sin(phase)).astype(np.float32)


def moved(column: str, by: Move) -> Model:
    """The good emulator at labels of which one is moved by what ``by`` makes of all labels."""

    def inner(labels: np.ndarray) -> np.ndarray:
        changed = np.array(labels, dtype=float)
        changed[:, NAMES.index(column)] += by(np.asarray(labels, dtype=float))
        return emulator(changed)

    return inner


def rows(first: int, runs: int, realisations: int = 5) -> Rows:
    """Computed spectra of consecutive runs of the gate's sequence."""
    seed, run_id = CONTRACT.sampling.gate_seed, np.arange(first, first + runs)
    own = sampling.run_labels(CONTRACT, seed, first, runs)
    labels = drawn_labels(CONTRACT, seed, run_id, own, realisations)
    flux = spectrum(labels).astype(np.float32)
    return Rows(np.repeat(run_id, realisations), labels, sampling.weights(CONTRACT, labels), flux)


def judge(seed: int, curved: bool = False, pixels: np.ndarray = PIXELS) -> Model:
    """Least squares from some pixels to labels, fitted to spectra of its own; ``curved`` adds squares of the flux."""

    def inputs(flux: np.ndarray) -> np.ndarray:
        offset = np.asarray(flux, dtype=float)[:, pixels] - 0.7
        return np.hstack([np.ones((len(flux), 1)), offset, offset**2] if curved else [np.ones((len(flux), 1)), offset])

    known = rows(10_000 + 1000 * seed, 300)
    solution = np.linalg.lstsq(inputs(known.flux), known.labels, rcond=1e-6)[0]
    return lambda flux: (inputs(flux) @ solution).astype(np.float32)


SPECTRA = rows(0, 420)
JUDGES = (judge(1), judge(2), judge(3))
GOOD = Candidate(emulator, JUDGES)


def decided(
    challenger: Candidate = GOOD, champion: Candidate | None = None, spectra: Rows = SPECTRA, **evidence: Any
) -> Decision:
    """What the gate says of a challenger, good evidence unless told otherwise."""
    return decide(CONTRACT, spectra, challenger, champion, replace(EVIDENCE, **evidence), 1, SERVES)


def refused_sections(decision: Decision) -> set[str]:
    return {criterion.section for criterion in decision.refusals}
