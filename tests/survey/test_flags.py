import numpy as np
from synthetic import GAIA

from stellar_emulator.contract.contract import read_contract
from stellar_emulator.survey.flags import FIRST_EDGE, Flag, counts, edge_of, filled_from, meanings


def test_each_flag_has_a_bit_and_a_meaning_of_its_own() -> None:
    told = meanings(GAIA)
    assert len(told) == len(Flag) + len(GAIA.labels)
    assert all(bit & (bit - 1) == 0 for bit in told)
    assert max(int(flag) for flag in Flag) < 1 << FIRST_EDGE
    assert len({text.partition(":")[0] for text in told.values()}) == len(told)


def test_cores_are_filled_from_more_where_the_model_has_departures_but_no_chromosphere() -> None:
    for contract, told in ((GAIA, "5% of the continuum"), (read_contract("rvs_stars"), "6% of the continuum")):
        assert meanings(contract)[int(Flag.CA_II_FILLED)].endswith(told)
    assert filled_from(GAIA) < filled_from(read_contract("rvs_stars"))


def test_flags_are_counted_by_name() -> None:
    flags = np.array([0, int(Flag.LOW_SNR), int(Flag.LOW_SNR) | edge_of(0)])
    found = {name: number for name, number in counts(flags, GAIA).items() if number}
    assert found == {"LOW_SNR": 2, f"EDGE_{GAIA.label_names[0].upper()}": 1}
