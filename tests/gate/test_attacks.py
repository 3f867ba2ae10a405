"""Each attack differs from the promoted control in one thing alone, and is refused for the right reason."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from world import (
    CONTRACT,
    EVIDENCE,
    GOOD,
    JUDGES,
    NAMES,
    PIXELS,
    SERVES,
    SPECTRA,
    decided,
    emulator,
    judge,
    moved,
    refused_sections,
    spectrum,
    unit,
)

from stellar_emulator.errors import InputError
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.decide import decide
from stellar_emulator.grid.store import Rows

RMSE = {row["label"]: row["rmse_test"] for row in decided().tables["labels"]}


def wave(labels: np.ndarray) -> np.ndarray:
    """A deviation of unit variance and no mean that no judge's own error follows."""
    return np.sqrt(2.0) * np.sin(40.0 * unit(labels)[:, NAMES.index("resolution")])


def emulating(flux_of: object) -> Candidate:
    return Candidate(flux_of, JUDGES)  # type: ignore[arg-type]


def test_control_is_promoted_and_says_which_attempt_it_is() -> None:
    decision = decided()
    assert decision.promoted
    assert decision.strict
    assert not decision.warnings
    assert decision.verdict == "PROMOTED in attempt 3 on this gate set"


def test_judge_that_answers_the_mean_is_refused_for_its_skill() -> None:
    span = CONTRACT.upper - CONTRACT.lower
    answers = [CONTRACT.lower + share * span for share in (0.49, 0.5, 0.51)]
    blind = [lambda flux, answer=answer: np.tile(answer, (len(flux), 1)).astype(np.float32) for answer in answers]
    decision = decided(Candidate(emulator, tuple(blind)))
    assert refused_sections(decision) == {"judge"}
    assert len(decision.refusals) == 5
    regions = [row for row in decision.criteria if row.section == "regions"]
    assert not any(row.informative for row in regions)
    assert regions[0].note.startswith("not informative")


def test_emulator_that_ignores_vmicro_is_refused_for_vmicro() -> None:
    def ignorant(labels: np.ndarray) -> np.ndarray:
        fixed = np.array(labels, dtype=float)
        fixed[:, NAMES.index("vmicro")] = 2.0
        return emulator(fixed)

    decision = decided(emulating(ignorant))
    refused = {row.name for row in decision.refusals}
    assert "vmicro: RMSE ratio, 95 % upper bound" in refused
    assert "vmicro: judged RMS shift" in refused
    assert "vmicro: share of the box determined" in refused
    labelled = {row.name.split(":")[0] for row in decision.refusals if row.section in ("match", "shift")}
    assert labelled == {"vmicro"}


def test_emulator_smoothed_by_three_pixels_is_refused_for_its_flux_and_shifts() -> None:
    smooth = lambda labels: uniform_filter1d(emulator(labels), 3, axis=1)  # noqa: E731
    decision = decided(emulating(smooth))
    assert {"fidelity", "shift"} <= refused_sections(decision)
    assert not refused_sections(decision) & {"evidence", "judge", "champion", "serves"}


def test_spectra_shifted_by_one_pixel_are_refused_for_their_flux() -> None:
    shifted = lambda labels: np.roll(emulator(labels), 1, axis=1)  # noqa: E731
    decision = decided(emulating(shifted))
    assert "fidelity" in refused_sections(decision)


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        ({"leaked_runs": 1}, "gate runs that a model saw"),
        ({"smoke": True}, "not smoke-trained"),
        ({"validation_passed": False}, "grid validation passed"),
        ({"contract_digests": {"emulator": "c1", "validator": "c2"}}, "different contracts"),
        ({"contract_digests": {}}, "different contracts"),
        ({"judge_presets": {"default": "p1", "judge 1": "p2"}}, "different presets of the judges"),
        ({"judge_seeds": (1, 1, 1)}, "judges of different seeds"),
    ],
)
def test_bad_evidence_is_the_only_refusal(fact: dict[str, Any], name: str) -> None:
    decision = decided(**fact)
    assert [row.name for row in decision.refusals] == [name]


def test_too_few_runs_are_refused() -> None:
    few = SPECTRA.run_id < 399
    decision = decided(spectra=Rows(*(getattr(SPECTRA, name)[few] for name in ("run_id", "labels", "weight", "flux"))))
    assert [row.name for row in decision.refusals] == ["runs", "spectra"]


def test_two_judges_are_too_few_whatever_seeds_are_claimed() -> None:
    decision = decided(Candidate(emulator, JUDGES[:2]))
    assert [row.name for row in decision.refusals] == ["judges of different seeds"]


def test_champion_with_less_flux_error_stays() -> None:
    better = Candidate(lambda labels: emulator(labels, ripple=0.9e-4), JUDGES)
    decision = decided(champion=better)
    assert [row.name for row in decision.refusals] == ["flux error / champion's, 95 % lower bound"]
    assert decision.refusals[0].figure == pytest.approx(1 / 0.9, rel=1e-3)
    assert decided(better, champion=GOOD).promoted


def test_champion_with_a_better_judge_stays() -> None:
    curved = Candidate(emulator, (judge(1, curved=True), judge(2, curved=True), judge(3, curved=True)))
    decision = decided(champion=curved)
    assert [row.name for row in decision.refusals] == ["judge's test RMSE / champion's, 95 % lower bound"]
    assert decided(curved, champion=GOOD).promoted


def test_a_difference_to_the_champion_within_chance_does_not_refuse() -> None:
    def uneven(mean: float, sign: float) -> Candidate:
        def flux(labels: np.ndarray) -> np.ndarray:
            size = mean * (1.0 + 0.3 * sign * wave(labels))[:, None]
            return (spectrum(labels) + size * np.sin(PIXELS / 3.0)).astype(np.float32)

        return emulating(flux)

    decision = decided(uneven(1.04e-4, 1.0), champion=uneven(1e-4, -1.0))
    assert decision.promoted
    figure = next(row for row in decision.criteria if row.name.startswith("flux error / champion's"))
    assert figure.figure is not None
    assert figure.figure < 1.0 < float(figure.note.split()[-1])
    assert not decided(uneven(1.12e-4, 1.0), champion=uneven(1e-4, -1.0)).promoted


def test_the_champion_itself_may_be_promoted_again() -> None:
    assert decided(champion=GOOD).promoted


def test_scatter_of_one_label_is_refused_for_its_match_alone() -> None:
    decision = decided(emulating(moved("m_h", lambda labels: 0.55 * RMSE["m_h"] * wave(labels))))
    assert [row.name for row in decision.refusals] == ["m_h: RMSE ratio, 95 % upper bound"]
    assert not decision.strict
    assert decided(emulating(moved("m_h", lambda labels: 0.2 * RMSE["m_h"] * wave(labels)))).promoted


def test_wider_margin_of_vmicro_counts_and_the_strict_verdict_stands_beside_it() -> None:
    decision = decided(emulating(moved("vmicro", lambda labels: 0.6 * RMSE["vmicro"] * wave(labels))))
    assert decision.promoted
    assert not decision.strict


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_constant_offset_of_one_label_is_refused_for_its_bias_alone(sign: float) -> None:
    def offset(by: float) -> Candidate:
        return emulating(moved("m_h", lambda labels: np.full(len(labels), sign * by * RMSE["m_h"])))

    assert [row.name for row in decided(offset(0.27)).refusals] == ["m_h: bias / RMSE, 95 % bound"]
    assert decided(offset(0.2)).promoted


def test_fault_in_one_bin_is_refused_for_that_bin_alone() -> None:
    def slow(labels: np.ndarray) -> np.ndarray:
        return RMSE["m_h"] * wave(labels) * (labels[:, NAMES.index("vsini")] < 20.0)

    decision = decided(emulating(moved("m_h", slow)))
    # Its edge at 20 km/s is a kink along vsini besides.
    assert [row.name for row in decision.refusals if row.section != "smooth"] == ["m_h: RMSE ratio in vsini 0-20"]


def test_shift_that_no_judge_can_see_is_refused_for_the_flux_alone() -> None:
    # [M/H] also moves a line at pixel 44 that these judges never look at, and there the emulator is wrong.
    line = np.exp(-0.5 * ((PIXELS - 44.0) / 2.5) ** 2)
    blindfolded = tuple(judge(seed, pixels=np.r_[0:36, 52:120]) for seed in (1, 2, 3))

    def with_line(labels: np.ndarray, flux: np.ndarray, error: float) -> np.ndarray:
        strength = unit(labels)[:, NAMES.index("m_h")] + error * wave(labels)
        return (flux - 0.08 * strength[:, None] * line).astype(np.float32)

    computed = replace(SPECTRA, flux=with_line(SPECTRA.labels, SPECTRA.flux, 0.0))
    wrong = Candidate(lambda labels: with_line(labels, emulator(labels), 0.07), blindfolded)
    right = Candidate(lambda labels: with_line(labels, emulator(labels), 0.0), blindfolded)
    told = [row for row in decided(wrong, spectra=computed).refusals if row.section != "pixels"]
    assert [row.name for row in told] == ["m_h: RMS shift by the flux"]
    assert decided(right, spectra=computed).promoted


def test_error_that_resembles_no_label_is_refused_for_fidelity_alone() -> None:
    comb = 2e-3 * (-1.0) ** PIXELS
    decision = decided(emulating(lambda labels: (emulator(labels) + comb).astype(np.float32)))
    assert refused_sections(decision) == {"fidelity"}


def test_spectra_told_better_than_real_ones_warn_and_do_not_refuse() -> None:
    hidden = np.random.default_rng(1).normal(size=(420, 1)).repeat(5, axis=0)
    line = np.exp(-0.5 * ((PIXELS - 78.0) / 2.5) ** 2)
    noisy = replace(SPECTRA, flux=(SPECTRA.flux + 1.6e-3 * hidden * line).astype(np.float32))
    decision = decided(spectra=noisy)
    assert decision.promoted
    assert [warning.split(":")[0] for warning in decision.warnings] == ["m_h"]


def test_emulator_that_answers_nan_is_refused() -> None:
    decision = decided(emulating(lambda labels: np.full((len(labels), len(PIXELS)), np.nan, dtype=np.float32)))
    assert {"match", "shift", "fidelity"} <= refused_sections(decision)


def test_nothing_is_promoted_unless_it_serves() -> None:
    decision = decide(CONTRACT, SPECTRA, GOOD, None, EVIDENCE, 1)
    assert not decision.refusals
    assert not decision.promoted
    assert decision.unexamined == ("serves",)
    assert decision.joined(SERVES).promoted
    fault = replace(SERVES[0], passed=False)
    assert [row.section for row in decision.joined([fault]).refusals] == ["serves"]


def test_contract_without_limits_is_told_so() -> None:
    with pytest.raises(InputError, match="no section gate"):
        decide(CONTRACT.model_copy(update={"gate": None}), SPECTRA, GOOD, None, EVIDENCE, 1)


def test_no_spectra_are_told_so() -> None:
    nothing = Rows(*(getattr(SPECTRA, name)[:0] for name in ("run_id", "labels", "weight", "flux")))
    with pytest.raises(InputError, match="no spectra"):
        decide(CONTRACT, nothing, GOOD, None, EVIDENCE, 1)
