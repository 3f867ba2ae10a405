"""Small contracts of labels, axes and fields that no shipped one has, and intrinsic runs of any of them."""

import numpy as np

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.shards import IntrinsicGrid

TEFF = "{name: teff, symbol: T, unit: K, lower: 4000.0, upper: 7000.0, kind: run, accuracy: true}"
LOGG = "{name: logg, symbol: g, unit: dex, lower: 3.0, upper: 5.0, kind: run, accuracy: true}"
VSINI = "{name: vsini, symbol: v, unit: km/s, lower: 0.0, upper: 60.0, kind: broadening, accuracy: true}"
MACRO = (
    "{name: vmacro, symbol: z, unit: km/s, lower: 0.0, upper: 30.0, kind: broadening, role: macroturbulence, "
    "accuracy: true}"
)
RESOLUTION = '{name: resolution, symbol: R, unit: "", lower: 5000.0, upper: 14500.0, kind: broadening, accuracy: false}'
INSTRUMENT = "instrument: {resolution: 11500.0, sharpest: 14500.0}"
LINEAR = "{start: 8530.0, step: 0.2, count: 120, unit: Angstrom, medium: air}"
LOGARITHMIC = "{start: 8530.0, velocity_step: 7.0, count: 120, unit: Angstrom, medium: vacuum}"

_TEXT = """
name: seam
description: A small contract for tests.
models: {{emulator: seam-emulator, validator: seam-validator}}
labels:
  - {labels}
wavelength: {axis}
flux: {{lower: 0.0, upper: 1.1}}
intrinsic: {{start: 8515.0, stop: 8570.0, velocity_step: 1.5, flux_per_count: 2.5e-4, medium: air}}
sampling: {{seed: 3, gate_seed: 4, realisations: 3}}
split: {{train: 0.8, validation: 0.1, test: 0.1}}
regions: {{{bins}hard: {{}}, line_cores: {{Ca II 8542: 8542.09}}, line_core_half_width: 1.0,
  equivalent_width_half_width: 5.0}}
{more}
"""


def seam_contract(*labels: str, axis: str = LINEAR, bins: str = "", more: str = "") -> Contract:
    """A contract of some labels, each as YAML; ``bins``: of regions, ending in a comma; ``more``: further fields."""
    return parse_contract(_TEXT.format(labels="\n  - ".join(labels), axis=axis, bins=bins, more=more))


def seam_runs(contract: Contract, runs: int = 60) -> IntrinsicGrid:
    """One line, deeper for a small first label and wider for a large last one of the run."""
    assert contract.intrinsic is not None
    labels = sampling.run_labels(contract, contract.sampling.seed, 0, runs)
    lower, upper = (np.array([getattr(label, end) for label in contract.run_labels]) for end in ("lower", "upper"))
    share = (labels - lower) / (upper - lower)
    velocity = np.log(contract.intrinsic.wavelength / 8542.09) * SPEED_OF_LIGHT
    flux = 1.0 - (0.8 - 0.5 * share[:, [0]]) * np.exp(-0.5 * (velocity / (10.0 + 20.0 * share[:, [-1]])) ** 2)
    count = contract.intrinsic.flux_per_count
    return IntrinsicGrid(
        run_id=np.arange(runs),
        labels=labels,
        flux=(np.rint(flux / count) * count).astype(np.float32),
        continuum=np.ones((runs, 32), dtype=np.float32),
        limb_darkening=0.3 + 0.5 * share[:, 0],
        atmosphere_distance=np.full(runs, 0.1),
        provenance={"seed": contract.sampling.seed},
    )
