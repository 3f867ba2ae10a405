"""The figure of a search."""

import csv
from typing import Any

import numpy as np
from matplotlib.text import Text
from synthetic import ROOT

from stellar_emulator.figures import pareto


def test_every_trial_is_a_point_and_front_and_choice_are_marked() -> None:
    cost, error = np.array([2.0, 1.0, 0.5, 3.0]), np.array([1e-3, 2e-3, 4e-3, 5e-3])
    families = ["exact", "exact", "learned", "learned"]
    figure = pareto(cost, error, families, np.array([2, 1, 0]), 0, {3: "paper", 1: "default"})
    (axes,) = figure.axes
    texts: list[Any] = list(axes.texts)
    drawn = {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in axes.lines}
    assert drawn["exact broadening"] == [[2.0, 1e-3], [1.0, 2e-3]]
    assert drawn["learned broadening"] == [[0.5, 4e-3], [3.0, 5e-3]]
    assert drawn["Pareto front"] == [[0.5, 4e-3], [1.0, 2e-3], [2.0, 1e-3]]
    assert drawn["chosen"] == [[2.0, 1e-3]]
    assert {text.get_text(): text.xy for text in texts} == {"paper": (3.0, 5e-3), "default": (1.0, 2e-3)}
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_names_cover_no_trial_and_their_lines_lead_past_the_others() -> None:
    with (ROOT / "docs" / "search" / "trials.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["mae"]]
    points = np.array([[float(row["milliseconds"]), float(row["mae"])] for row in rows])
    chosen = next(i for i, row in enumerate(rows) if row["chosen"] == "True")
    named = {i: row["origin"] for i, row in enumerate(rows) if row["origin"] != "searched"} | {chosen: "chosen"}
    figure = pareto(points[:, 0], points[:, 1], [row["family"] for row in rows], np.array([chosen]), chosen, named)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    places = axes.transData.transform(points)
    notes: list[Any] = list(axes.texts)
    boxes = [Text.get_window_extent(note) for note in notes]
    for row, note, box in zip(named, notes, boxes, strict=True):
        assert box.count_contains(places) == 0
        assert box.count_overlaps(boxes) == 1
        assert axes.bbox.count_contains(box.corners()) == 4
        line = note.arrow_patch.get_transform().transform(note.arrow_patch.get_path().interpolated(200).vertices)
        assert np.linalg.norm(line[:, None] - np.delete(places, row, axis=0), axis=2).min() > 3.0


def test_names_are_written_where_no_place_is_free_too() -> None:
    cost, error = np.meshgrid(np.geomspace(0.1, 1.0, 60), np.geomspace(1e-3, 1e-2, 30))
    figure = pareto(cost.ravel(), error.ravel(), ["exact"] * cost.size, np.array([0]), 0, {7: "a", 8: "b"})
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b"]
