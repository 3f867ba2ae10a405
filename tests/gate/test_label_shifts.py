import numpy as np
from world import CONTRACT, NAMES, SPECTRA, spectrum

from stellar_emulator.gate.label_shifts import label_shifts

COLUMNS = CONTRACT.columns(CONTRACT.accuracy_labels)
SPAN = (CONTRACT.upper - CONTRACT.lower)[COLUMNS]
LABELS = SPECTRA.labels[:150]


def shifted(labels, by):
    changed = labels.copy()
    changed[:, COLUMNS] += by * SPAN
    return changed


def test_a_small_move_of_the_labels_is_found_again_to_first_order():
    move = np.array([1e-3, -2e-3, 5e-4, 1e-3, -1e-3])
    difference = (spectrum(shifted(LABELS, move)) - spectrum(LABELS)).astype(np.float32)
    shifts, errors = label_shifts(CONTRACT, spectrum, LABELS, difference)
    np.testing.assert_allclose(shifts / SPAN, np.tile(move, (len(LABELS), 1)), rtol=0.02)
    assert (errors / SPAN < 10.0).all()


def test_labels_are_never_asked_for_beyond_their_bounds():
    asked = []

    def watched(labels):
        asked.append(labels)
        return spectrum(labels)

    corners = np.stack([CONTRACT.lower, CONTRACT.upper])
    difference = (spectrum(shifted(corners, 1e-3)) - spectrum(corners)).astype(np.float32)
    shifts, _ = label_shifts(CONTRACT, watched, corners, difference)
    every = np.concatenate(asked)
    assert (every >= CONTRACT.lower).all()
    assert (every <= CONTRACT.upper).all()
    np.testing.assert_allclose(shifts / SPAN, 1e-3, rtol=0.05)


def test_a_label_that_the_emulator_ignores_has_a_huge_error_and_leaves_the_others_alone():
    place = NAMES.index("vmicro")

    def ignorant(labels):
        fixed = np.array(labels)
        fixed[:, place] = 2.0
        return spectrum(fixed)

    move = np.array([1e-3, 1e-3, 1e-3, 1e-3, 0.0])
    difference = (ignorant(shifted(LABELS, move)) - ignorant(LABELS)).astype(np.float32)
    shifts, errors = label_shifts(CONTRACT, ignorant, LABELS, difference)
    assert (errors[:, COLUMNS.index(place)] / SPAN[-1] > 1e3).all()
    others = [i for i, column in enumerate(COLUMNS) if column != place]
    np.testing.assert_allclose((shifts / SPAN)[:, others], 1e-3, rtol=0.02)


def test_white_noise_scatters_labels_by_the_standard_error():
    noise = 1e-3 * np.random.default_rng(2).standard_normal((len(LABELS), 120)).astype(np.float32)
    shifts, errors = label_shifts(CONTRACT, spectrum, LABELS, noise)
    np.testing.assert_allclose((shifts / (1e-3 * errors)).std(axis=0), 1.0, atol=0.2)


def test_no_number_stays_none():
    difference = np.zeros((2, 120), dtype=np.float32)
    difference[1, 3] = np.nan
    shifts, errors = label_shifts(CONTRACT, spectrum, LABELS[:2], difference)
    assert np.isfinite(shifts[0]).all()
    assert np.isnan(shifts[1]).all()
    assert np.isnan(errors[1]).all()
