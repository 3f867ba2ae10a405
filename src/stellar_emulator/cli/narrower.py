"""Which shipped pair of the same networks suits observed spectra that cover too little of a pair's range."""

from itertools import islice

from stellar_emulator.cli.observations import observations
from stellar_emulator.cli.settings import Observations
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.preparation import covered
from stellar_emulator.models.pair import shipped_names
from stellar_emulator.observed.spectrum import ObservedSpectrum

LOOKED_AT = 20
"""Spectra that are looked at."""


def that_is_covered(options: Observations, contract: Contract, least_share: float) -> str:
    """Name of the pair: the one that the options name, of ``contract``, or another one of its networks, if all spectra
    that are looked at cover too little of it and the first of them enough of the other.

    least_share: of a pair's range that a spectrum must cover.
    """
    seen = [one for one in islice(observations(options, contract), LOOKED_AT) if isinstance(one, ObservedSpectrum)]
    if not seen or any(_covers(one, contract, least_share) for one in seen):
        return options.model
    others = (read_contract(name) for name in shipped_names())
    names = (one.name for one in others if one.embedded == options.model and _covers(seen[0], one, least_share))
    return next(names, options.model)


def _covers(spectrum: ObservedSpectrum, contract: Contract, least_share: float) -> bool:
    try:
        covered(spectrum.on_medium_of(contract.wavelength), contract, 0.0, least_share)
    except InputError:
        return False
    return True
