"""The figure of a search."""

import numpy as np

from stellar_emulator.figures import pareto


def test_every_trial_is_a_point_and_front_and_choice_are_marked() -> None:
    cost, error = np.array([2.0, 1.0, 0.5, 3.0]), np.array([1e-3, 2e-3, 4e-3, 5e-3])
    families = ["exact", "exact", "learned", "learned"]
    figure = pareto(cost, error, families, np.array([2, 1, 0]), 0, {3: "paper", 1: "default"})
    (axes,) = figure.axes
    drawn = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["exact broadening"] == [[2.0, 1e-3], [1.0, 2e-3]]
    assert drawn["learned broadening"] == [[0.5, 4e-3], [3.0, 5e-3]]
    assert drawn["Pareto front"] == [[0.5, 4e-3], [1.0, 2e-3], [2.0, 1e-3]]
    assert drawn["chosen"] == [[2.0, 1e-3]]
    assert {text.get_text(): text.xy for text in axes.texts} == {"paper": (3.0, 5e-3), "default": (1.0, 2e-3)}
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
