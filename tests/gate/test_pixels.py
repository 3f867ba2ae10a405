"""One line among thousands of pixels: each fault beside the same pair without it."""

import numpy as np
from world import JUDGES, LINES, NAMES, PIXELS, WIDTH, decided, emulator, refused_sections, unit

from stellar_emulator.gate.candidate import Candidate

LINE = int(LINES["m_h"])


def test_the_control_names_its_worst_pixel_and_line() -> None:
    rows = {row.name: row for row in decided().criteria if row.section == "pixels"}
    assert all(row.passed for row in rows.values())
    assert "Angstrom" in rows["RMS error of any pixel over the box / MAE ceiling"].note
    assert any("equivalent width" in name for name in rows)


def test_a_pixel_that_is_wrong_in_a_tenth_of_a_labels_range_is_refused_with_its_place() -> None:
    def wrong(labels: np.ndarray) -> np.ndarray:
        flux = emulator(labels)
        flux[unit(labels)[:, NAMES.index("vmicro")] > 0.9, 50] += 0.02
        return flux

    decision = decided(Candidate(wrong, JUDGES))
    pixels = [row for row in decision.refusals if row.section == "pixels"]
    assert pixels
    assert any("vmicro" in row.note for row in pixels)
    assert not refused_sections(decision) & {"fidelity", "judge", "evidence"}


def test_a_line_that_is_left_out_is_refused_by_its_pixels_and_its_width() -> None:
    # It varies with [M/H] by 0.08 and is 0.3 deep: without it, the level is that of its surroundings.
    gone = 0.05 * np.exp(-0.5 * ((PIXELS - 5 - LINE) / WIDTH) ** 2)
    decision = decided(Candidate(lambda labels: (emulator(labels) + gone).astype(np.float32), JUDGES))
    assert {row.name for row in decision.refusals} >= {"RMS error of any pixel over the box / MAE ceiling"}
