import json
from dataclasses import replace

import numpy as np
import pytest
from world import CONTRACT, GOOD, JUDGES, PIXELS, SPECTRA, decided, emulator

from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.decision import SECTIONS, Criterion
from stellar_emulator.gate.page import page

BROKEN = Candidate(lambda labels: np.full((len(labels), len(PIXELS)), np.nan, dtype=np.float32), JUDGES)


def test_record_survives_json_and_holds_every_section():
    record = decided(champion=GOOD).to_dict()
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record
    assert {row["section"] for row in record["criteria"]} == set(SECTIONS)
    assert record["promoted"] is True
    assert record["attempts_before"] == 2
    assert [row["label"] for row in record["tables"]["labels"]] == ["teff", "logg", "vsini", "m_h", "vmicro"]
    assert record["tables"]["labels"][0]["paper_test"] == 120.0
    assert len(record["tables"]["regions"]) == 45
    assert [row["of"] for row in record["tables"]["flux_error"]] == ["challenger", "champion"]
    assert record["settings"]["judge_seeds"] == [1, 2, 3]


def test_record_of_a_broken_emulator_is_json_too():
    record = decided(BROKEN).to_dict()
    assert json.loads(json.dumps(record, allow_nan=False))["promoted"] is False
    assert {row["figure"] for row in record["criteria"] if row["section"] == "fidelity"} == {None}


def test_same_seed_same_record():
    assert decided().to_dict() == decided().to_dict()


def test_summary_names_refusals_and_what_does_not_count():
    text = decided(leaked_runs=3).summary()
    assert "REFUSED in attempt 3 on this gate set by evidence (gate runs that a model saw)" in text
    line = next(line for line in text.splitlines() if "gate runs that a model saw" in line)
    assert line.split()[-2:] == ["0", "refused"]
    assert "void: there is no champion" in text
    assert "45 passed" in text
    assert "serves    not examined" in replace(decided(), criteria=decided().criteria[:-1]).summary()


def test_a_criterion_of_no_section_is_a_mistake():
    with pytest.raises(ValueError, match="beauty is none of"):
        Criterion("beauty", "nice", None, None, True)


def test_page_needs_no_network_and_shows_what_was_decided():
    decision = decided(smoke=True)
    text = page(CONTRACT, SPECTRA, decision, decision.to_dict() | {"who": "<Ada & Co>"})
    assert text.count('src="data:image/png;base64,') == 3
    assert "http" not in text
    assert "src=" not in text.replace('src="data:image/png;base64,', "")
    assert "small_rvs: refused" in text
    assert "<li>evidence: not smoke-trained</li>" in text
    assert "&lt;Ada &amp; Co&gt;" in text
    assert SPECTRA.digest in text
    cells = decision.tables["coverage"]
    assert cells
    assert all(f"<li>{row['cell']}</li>" in text for row in cells)


def test_page_of_an_evaluation_says_what_it_is_and_refusals_say_why():
    decision = decided(Candidate(lambda labels: emulator(labels) + np.float32(0.01), JUDGES))
    text = page(CONTRACT, SPECTRA, decision, decision.to_dict() | {"evaluation": "grid <a> is not the gate set b"})
    assert "small_rvs: evaluation only, refused" in text
    assert "An evaluation moves no champion: grid &lt;a&gt; is not the gate set b." in text
    assert "<li>fidelity: flux error over the box: 0.01, asked is &lt;= 0.0004</li>" in text


def test_page_of_a_broken_emulator_says_why_it_shows_nothing():
    decision = decided(BROKEN)
    text = page(CONTRACT, SPECTRA, decision, decision.to_dict())
    assert "<img" not in text
    assert "what is no number" in text
