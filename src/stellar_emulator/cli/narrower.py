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
"""Spectra that are looked at, until one can be used."""


def that_is_covered(options: Observations, contract: Contract, least_share: float) -> str:
    """Name of the pair: the one that the options name, of ``contract``, or another one of its networks.

    The first spectrum that can be used decides. least_share: of a pair's range that it must cover.
    """
    names = [name for name in shipped_names() if read_contract(name).embedded == options.model]
    for one in islice(observations(options, contract), LOOKED_AT):
        if not isinstance(one, ObservedSpectrum):
            continue
        for name in (options.model, *names):
            own = read_contract(name)
            try:
                covered(one.on_medium_of(own.wavelength), own, 0.0, least_share)
            except InputError:
                continue
            return name
    return options.model
