"""An emulator of the exact family whose spectra are lines at known places: it needs no training."""

from itertools import product

import numpy as np

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.networks.dense import DenseChain, DenseLayer, linear_map, scale_inputs
from stellar_emulator.networks.inference import LIMB_DARKENING_WEIGHT, ExactEmulatorNetwork, exact_emulator


def random_network(contract: Contract, seed: int = 0) -> ExactEmulatorNetwork:
    """Modes of one line whose depth, place and limb darkening follow the run's labels."""
    random = np.random.default_rng(seed)
    assert contract.intrinsic is not None
    convolve = contract_broadening(contract)
    lower, upper = contract.lower[contract.columns(contract.run_labels)], contract.upper
    width = upper[contract.columns(contract.run_labels)] - lower
    kernel = random.normal(size=(len(contract.run_labels), 6))
    hidden = DenseChain((DenseLayer(kernel.astype(np.float32), np.zeros(6, np.float32), "tanh"),))
    places = np.linspace(contract.wavelength.start, contract.wavelength.stop, 8)[1:-1, np.newaxis]
    lines = np.exp(-0.5 * ((contract.intrinsic.wavelength - places) / 0.2) ** 2)
    modes = convolve.modes(lines)
    continuum = convolve.modes(np.ones((1, convolve.bins)))[0]
    kernel = np.concatenate([0.1 * modes, 0.05 * LIMB_DARKENING_WEIGHT * np.ones((6, 1))], axis=1)
    bias = np.concatenate([continuum - 0.3 * modes.sum(axis=0), [0.5 * LIMB_DARKENING_WEIGHT]])
    chain = scale_inputs(hidden, 2.0 / width, -(2.0 * lower / width + 1.0)) + linear_map(kernel, bias)
    return exact_emulator(chain, contract)


def demanding_labels(contract: Contract) -> np.ndarray:
    """Every corner of the box, no rotation among them, and draws inside it."""
    corners = np.array(list(product(*zip(contract.lower, contract.upper, strict=True))))
    random = np.random.default_rng(1)
    inside = contract.lower + random.random((40, len(contract.labels))) * (contract.upper - contract.lower)
    slow = inside[:4].copy()
    slow[:, contract.label_names.index("vsini")] = [0.0, 0.01, 0.5, 3.0]
    return np.concatenate([corners, inside, slow])
