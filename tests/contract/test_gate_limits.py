import pytest
from synthetic import GAIA, TINY

from stellar_emulator.contract.contract import parse_contract
from stellar_emulator.errors import InputError


def test_the_contract_states_all_limits_and_another_may_do_without():
    assert GAIA.gate is not None
    assert GAIA.gate.runs >= 400
    assert GAIA.gate.spectra >= 2000
    assert GAIA.gate.resamples >= 2000
    assert GAIA.gate.ratio["vmicro"] == 1.25
    assert TINY.gate is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("skill: {teff: 0.98, ", "skill: {", "gate.skill: give every accuracy label and no other"),
        ("shift: {teff: 60.0", "shift: {resolution: 1.0, teff: 60.0", "gate.shift: give every accuracy label"),
        ("  resamples: 4000", "  resamples: 100", "gate.resamples"),
        ("  confidence: 0.95", "  confidence: 95", "gate.confidence"),
        ("  bias: 0.25", "  bais: 0.25", "gate.bias"),
        ("  bias: 0.25", "  bias: 0.25\n  observed: {shift: {feh: 1.0}}", "gate.observed.shift: feh is none of teff, "),
        ("  bias: 0.25", "  bias: 0.25\n  observed: {shift: {teff: -1.0}}", "gate.observed.shift.teff"),
        ("  bias: 0.25", "  bias: 0.25\n  observed: {shift: {}}", "gate.observed.shift"),
    ],
)
def test_faults_in_the_limits_are_named(old, new, message):
    assert GAIA.source.count(old) == 1
    with pytest.raises(InputError, match=message):
        parse_contract(GAIA.source.replace(old, new))


def test_limits_on_observed_spectra_are_told_only_where_they_are_stated():
    assert GAIA.gate is not None
    assert "observed" not in GAIA.gate.model_dump()
    text = GAIA.source.replace("  bias: 0.25", "  bias: 0.25\n  observed: {shift: {teff: 0.5, radial_velocity: 1.0}}")
    stated = parse_contract(text).gate
    assert stated is not None
    assert stated.model_dump()["observed"] == {"shift": {"teff": 0.5, "radial_velocity": 1.0}, "spectra": 100}
