"""Which shipped pair of the same networks suits observed spectra that cover too little of a pair's range."""

from itertools import islice

from stellar_emulator.cli.observations import observations
from stellar_emulator.cli.settings import Observations
from stellar_emulator.contract.contract import Contract
from stellar_emulator.fitting.preparation import covered
from stellar_emulator.models.pair import shipped_contracts
from stellar_emulator.observed.spectrum import ObservedSpectrum

LOOKED_AT = 20
"""Spectra that are looked at, if none of them is covered."""


def that_is_covered(options: Observations, contract: Contract, least_share: float) -> str:
    """Name of the pair: the one that the options name, of ``contract``, or another one of its networks, if all spectra
    that are looked at cover too little of it and the first of them enough of the other.

    least_share: of a pair's range that a spectrum must cover.
    """
    first: ObservedSpectrum | None = None
    for one in islice(observations(options, contract), LOOKED_AT):
        if isinstance(one, ObservedSpectrum):
            if _covers(one, contract, least_share):
                return options.model
            first = first or one
    others = [] if first is None else [one for one in shipped_contracts() if one.embedded == options.model]
    return next((one.name for one in others if first and _covers(first, one, least_share)), options.model)


def _covers(spectrum: ObservedSpectrum, contract: Contract, least_share: float) -> bool:
    return covered(spectrum.on_medium_of(contract.wavelength), contract.wavelength, 0.0) >= least_share
