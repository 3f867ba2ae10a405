"""The figures draw the arrays they are given, under texts that come from the data contract."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from stellar_emulator import figures
from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.figures.style import quantity, three_digits
from stellar_emulator.grid.label_coverage import pair_coverage

CONTRACT = Path(__file__).parents[2] / "data_contracts" / "gaia_rvs.yaml"

OTHER = """
name: other
description: Three labels and 777 pixels in vacuum, without a line core on the axis.
models: {emulator: other-emulator, validator: other-validator}
labels:
  - {name: temperature, symbol: T, unit: K, lower: 3000.0, upper: 4000.0, kind: run, accuracy: true}
  - {name: gravity, symbol: g, unit: dex, lower: 0.0, upper: 5.0, kind: run, accuracy: true}
  - {name: width, symbol: w, unit: km/s, lower: 0.0, upper: 9.0, kind: broadening, role: vsini, accuracy: false}
wavelength: {start: 5000.0, step: 0.5, count: 777, unit: Angstrom, medium: vacuum}
flux: {lower: 0.0, upper: 1.05}
sampling: {seed: 1, gate_seed: 2, realisations: 1}
split: {train: 0.8, validation: 0.1, test: 0.1}
regions:
  temperature: [3000.0, 3500.0, 4000.0]
  width: [0.0, 3.0, 9.0]
  hard: {temperature: [3000.0, 3500.0]}
  line_cores: {"Ca II 8542": 8542.09}
  line_core_half_width: 1.0
  equivalent_width_half_width: 10.0
"""


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_contract(CONTRACT)


@pytest.fixture(scope="module")
def other() -> Contract:
    return parse_contract(OTHER)


def drawn_labels(contract: Contract, count: int, seed: int = 0) -> np.ndarray:
    share = np.random.default_rng(seed).random((count, len(contract.labels)))
    return contract.lower + (contract.upper - contract.lower) * share


def spectra(contract: Contract, count: int, seed: int = 1) -> np.ndarray:
    """Three Gaussian lines of random depth on a flat continuum."""
    depths = np.random.default_rng(seed).uniform(0.1, 0.6, (count, 3, 1))
    pixels = contract.wavelength.pixels
    centres = np.linspace(pixels[0], pixels[-1], 5)[1:-1, None]
    return 1 - np.sum(depths * np.exp(-0.5 * ((pixels - centres) / 3.0) ** 2), axis=1)


def curves(axes: Axes, contract: Contract) -> list[np.ndarray]:
    """The y values of lines that have a point at each pixel."""
    return [y for line in axes.lines if len(y := np.asarray(line.get_ydata())) == contract.wavelength.count]


def marks(axes: Axes) -> list[float]:
    """Where vertical lines stand."""
    return [float(np.asarray(line.get_xdata())[0]) for line in axes.lines if line.get_linestyle() == ":"]


def rendered_within(figure: Figure) -> bool:
    """Whether no text of the figure is clipped at its edge."""
    figure.savefig(io.BytesIO(), format="png")
    inner = np.asarray(figure.get_tightbbox().extents)
    return bool(np.all(inner[:2] >= -0.01) and np.all(inner[2:] <= np.add(figure.get_size_inches(), 0.01)))


def test_example_spectra_keeps_each_spectrum_up_to_its_shift(contract: Contract) -> None:
    labels, flux = drawn_labels(contract, 5), spectra(contract, 5)
    figure = figures.example_spectra(contract, labels, flux)
    (axes,) = figure.axes
    shown = curves(axes, contract)
    assert len(shown) == 5
    for curve, spectrum in zip(shown, flux, strict=True):
        np.testing.assert_allclose(curve - curve[0], spectrum - spectrum[0], atol=1e-12)
    assert all(above.min() > below.max() for above, below in pairwise(shown))
    assert marks(axes) == list(contract.regions.line_cores.values())
    assert axes.get_xlabel() == "Wavelength in air (\N{LATIN CAPITAL LETTER A WITH RING ABOVE})"
    assert f"{labels[3, 0]:.0f} K" in axes.texts[3].get_text()
    assert rendered_within(figure)


def test_line_cores_are_named_and_those_beyond_the_axis_left_out(contract: Contract, other: Contract) -> None:
    (axes,) = figures.example_spectra(contract, drawn_labels(contract, 2), spectra(contract, 2)).axes
    names = [text.get_text() for text in axes.child_axes[0].get_xticklabels()]
    assert names == ["Ca II 8498", "Ca II 8542", "Ca II 8662"]
    (axes,) = figures.example_spectra(other, drawn_labels(other, 2), spectra(other, 2)).axes
    assert marks(axes) == []
    assert axes.child_axes[0].get_xticklabels() == []
    assert axes.get_xlabel().startswith("Wavelength in vacuum")


@pytest.mark.parametrize("networks", [1, 3, 8])
def test_training_curves_have_a_panel_for_each_network_and_mark_the_best_epoch(networks: int) -> None:
    loss, val_loss = [1e-1, 1e-2, 1e-3, 5e-4], [2e-1, 3e-2, 4e-3, 6e-3]
    figure = figures.training_curves({f"network {n}": {"loss": loss, "val_loss": val_loss} for n in range(networks)})
    assert len(figure.axes) == networks
    for number, panel in enumerate(figure.axes):
        training, validation, best = panel.lines
        assert panel.get_yscale() == "log"
        assert panel.get_title(loc="left") == f"network {number}"
        np.testing.assert_array_equal(training.get_ydata(), loss)
        np.testing.assert_array_equal(validation.get_ydata(), val_loss)
        np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3, 4])
        assert (np.asarray(best.get_xdata())[0], np.asarray(best.get_ydata())[0]) == (3, 4e-3)
        assert panel.texts[0].get_text() == "4.00e-03 at epoch 3"
    assert rendered_within(figure)


@pytest.mark.parametrize(("name", "lines"), [("gaia_rvs", 1), ("rvs_stars", 2)])
def test_labels_of_a_title_take_as_many_lines_as_the_figure_is_wide(name: str, lines: int) -> None:
    own = read_contract(name)
    flux = np.ones((1, own.wavelength.count), dtype=np.float32)
    drawn = figures.reconstruction(own, own.upper[None], flux, 0.9 * flux, "generated")
    drawn.canvas.draw()
    titles = [text for text in drawn.findobj(Text) if f"${own.labels[0].symbol}$ =" in text.get_text()]
    assert {title.get_text().count("\n") + 1 for title in titles} == {lines}
    for title in titles:
        box = title.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= drawn.bbox.x1


def test_reconstruction_draws_both_spectra_and_their_difference(contract: Contract) -> None:
    labels, computed = drawn_labels(contract, 3), spectra(contract, 3)
    made = computed + 0.004 * np.sin(contract.wavelength.pixels)
    figure = figures.reconstruction(contract, labels, computed, made, "reconstructed")
    assert len(figure.axes) == 6
    assert figure.get_suptitle() == "Computed and reconstructed spectra"
    for row in range(3):
        upper, lower = figure.axes[2 * row : 2 * row + 2]
        np.testing.assert_array_equal(curves(upper, contract), [computed[row], made[row]])
        np.testing.assert_array_equal(curves(lower, contract), [made[row] - computed[row]])
        assert lower.get_ylim() == figure.axes[1].get_ylim()
        assert f"{labels[row, 0]:.0f} K" in upper.get_title(loc="left")
    low, high = figure.axes[1].get_ylim()
    assert low < -0.004
    assert high > 0.004
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Computed", "Reconstructed"]
    assert rendered_within(figure)


def test_hero_states_labels_and_largest_residual(contract: Contract) -> None:
    labels, computed = drawn_labels(contract, 1)[0], spectra(contract, 1)[0]
    generated = computed.copy()
    generated[1234] -= 0.0123
    figure = figures.hero(contract, labels, computed, generated)
    upper, lower = figure.axes
    np.testing.assert_array_equal(curves(upper, contract), [computed, generated])
    np.testing.assert_array_equal(curves(lower, contract), [generated - computed])
    assert lower.get_title(loc="left") == "Largest absolute residual: 0.012 of the continuum"
    for label, value in zip(contract.labels, labels, strict=True):
        assert f"${label.symbol}$ = " in upper.get_title(loc="left")
        assert quantity(label, value, signed=label.name == "m_h") in upper.get_title(loc="left")
    assert tuple(figure.get_size_inches()) == (10.0, 4.0)
    assert rendered_within(figure)


def test_hero_of_a_perfect_emulator_can_be_drawn(contract: Contract) -> None:
    flux = spectra(contract, 1)[0]
    figure = figures.hero(contract, drawn_labels(contract, 1)[0], flux, flux)
    low, high = figure.axes[1].get_ylim()
    assert low < 0 < high
    assert rendered_within(figure)


def test_inferred_labels_count_all_spectra_and_state_their_rmse(contract: Contract) -> None:
    names = [label.name for label in contract.accuracy_labels]
    true = drawn_labels(contract, 400)[:, contract.columns(contract.accuracy_labels)]
    errors = np.array([100.0, 0.05, 5.0, 0.1, 0.2])
    signs = np.where(np.arange(400)[:, None] % 2, 1, -1)
    inferred = {"test": true + signs * errors, "generated": true + 2 * signs * errors}
    figure = figures.inferred_labels(contract, {"test": true, "generated": true}, inferred, names)
    *panels, _colour_bar = figure.axes
    assert len(panels) == 10
    texts = ["100 K", "200 K", "0.0500 dex", "0.100 dex", "5.00 km/s", "10.0 km/s"]
    assert [panel.texts[0].get_text() for panel in panels[:6]] == [f"RMSE {text}" for text in texts]
    for panel, label in zip(panels[::2], contract.accuracy_labels, strict=True):
        assert panel.get_xlabel() == f"True {label.title}"
        assert panel.get_ylabel() == f"Inferred {label.title}"
        assert panel.get_xlim() == (label.lower, label.upper)
    for panel in panels:
        assert panel.collections[0].get_array().sum() == 400
        (line,) = panel.lines
        np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
        first, last = np.asarray(line.get_xdata())
        assert first < panel.get_xlim()[0] < panel.get_xlim()[1] < last
    assert panels[0].get_title(loc="left") == "Test spectra (n = 400)"
    assert rendered_within(figure)


def test_inferred_labels_beyond_the_panel_are_counted_in_text_and_rmse(contract: Contract) -> None:
    true = np.full((4, 1), 3.0)
    inferred = np.array([[3.0], [3.0], [3.0], [13.0]])
    panel = figures.inferred_labels(contract, {"test": true}, {"test": inferred}, ["logg"]).axes[0]
    assert panel.texts[0].get_text() == "RMSE 5.00 dex\n1 beyond the panel"
    assert panel.collections[0].get_array().sum() == 3


def test_accuracy_comparison_pairs_each_rmse_with_the_papers(contract: Contract) -> None:
    splits = ["train", "validation", "test", "generated"]
    rows = [
        {"label": name, "split": split, "rmse": scale * (number + 1), "paper": paper}
        for name, scale, paper in (("teff", 40.0, 119.0), ("logg", 0.01, 0.05), ("resolution", 1500.0, None))
        for number, split in enumerate(splits)
    ]
    figure = figures.accuracy_comparison(contract, rows)
    assert len(figure.axes) == 3
    teff, logg, resolution = figure.axes
    assert teff.get_xlabel() == r"RMSE of $T_\mathrm{eff}$ (K)"
    assert [text.get_text() for text in logg.get_yticklabels()] == splits
    bars: list[Any] = logg.containers
    ours, papers = bars
    np.testing.assert_allclose(ours.datavalues, [0.01, 0.02, 0.03, 0.04])
    np.testing.assert_allclose(papers.datavalues, [0.05] * 4)
    assert len(resolution.containers) == 1
    assert [text.get_text() for text in teff.texts] == ["40", "80", "120", "160", "119", "119", "119", "119"]
    assert [text.get_text() for text in resolution.texts] == ["1500", "3000", "4500", "6000"]
    assert "The grids differ" in figure.get_supxlabel()
    assert rendered_within(figure)


def test_residual_map_shows_the_median_absolute_residual(contract: Contract) -> None:
    teff = np.repeat([4000.0, 14000.0], [60, 40])
    residual = np.where(np.arange(100)[:, None] % 2, 1.0, -1.0) * np.full((100, contract.wavelength.count), 1e-3)
    residual[teff > 5000] *= 0.1
    residual[0] = 1.0  # an outlier, which leaves the median as it is
    residual[:, :10] *= 5
    figure = figures.residual_map(contract, teff, residual)
    axes, colour_bar = figure.axes
    values = np.ma.filled(axes.collections[0].get_array(), np.nan)
    assert values.shape == (5, 400)
    np.testing.assert_allclose(values[0], [5e-3] + [1e-3] * 399)
    np.testing.assert_allclose(values[-1], [5e-4] + [1e-4] * 399)
    assert np.isnan(values[1:-1]).all()
    assert axes.get_ylabel() == r"$T_\mathrm{eff}$ (K)"
    assert axes.get_ylim() == (3600.0, 15000.0)
    assert colour_bar.get_yscale() == "log"
    assert rendered_within(figure)


def test_residual_map_bins_every_pixel_at_its_wavelength(other: Contract) -> None:
    residual = np.full((40, 777), 1e-4)
    residual[:, 500] = 1.0
    axes = figures.residual_map(other, np.full(40, 3100.0), residual, name="temperature").axes[0]
    mesh: Any = axes.collections[0]
    values, edges = mesh.get_array(), mesh.get_coordinates()[0, :, 0]
    column = int(np.searchsorted(edges, other.wavelength.pixels[500])) - 1
    assert values[0].argmax() == column
    assert edges[0] == other.wavelength.start - 0.25
    assert edges[-1] == other.wavelength.stop + 0.25
    assert axes.get_ylabel() == "$T$ (K)"


def test_residual_map_of_a_perfect_emulator_can_be_drawn(contract: Contract) -> None:
    figure = figures.residual_map(contract, np.linspace(3600, 15000, 50), np.zeros((50, contract.wavelength.count)))
    assert rendered_within(figure)
    mesh: Any = figure.axes[0].collections[0]
    assert mesh.norm.vmin > 0


def test_flux_error_stands_in_the_bin_it_belongs_to(contract: Contract) -> None:
    rows = [
        {"teff": (3600.0, 4800.0), "vsini": (0.0, 20.0), "mae": 3.21e-3, "n": 1234},
        {"teff": [12000.0, 15000.0], "vsini": [60.0, 150.0], "mae": 4.5e-4, "n": 56},
    ]
    figure = figures.flux_error_by_region(contract, rows)
    axes, colour_bar = figure.axes
    values = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert values.shape == (4, 5)
    assert values[0, 0] == pytest.approx(3.21)
    assert values[2, 4] == pytest.approx(0.45)
    assert np.isfinite(values).sum() == 2
    assert [text.get_text() for text in axes.texts] == ["3.21", "n = 1,234", "0.450", "n = 56"]
    assert axes.texts[2].get_position() == (4, 2)
    assert axes.get_xticklabels()[0].get_text() == "3600\N{EN DASH}4800"
    assert axes.get_xlabel() == r"$T_\mathrm{eff}$ (K)"
    assert axes.get_ylabel() == r"$v \sin i$ (km/s)"
    assert "0.001 of the continuum" in colour_bar.get_ylabel()
    assert rendered_within(figure)


def test_flux_error_of_an_unknown_bin_is_refused(contract: Contract) -> None:
    with pytest.raises(ValueError, match="is not in list"):
        figures.flux_error_by_region(contract, [{"teff": (1.0, 2.0), "vsini": (0.0, 20.0), "mae": 1.0, "n": 1}])


@pytest.mark.parametrize("name", ["contract", "other"])
def test_sampling_density_counts_all_spectra(name: str, request: pytest.FixtureRequest) -> None:
    contract: Contract = request.getfixturevalue(name)
    count = len(contract.labels)
    figure = figures.sampling_density(contract, drawn_labels(contract, 300))
    assert len(figure.axes) == count * (count + 1) // 2
    assert "300 spectra" in figure.get_suptitle()
    histograms: list[Any] = [axes for axes in figure.axes if axes.patches]
    pairs = [axes for axes in figure.axes if axes.collections]
    assert [axes.get_title(loc="left") for axes in histograms] == [label.title for label in contract.labels]
    assert all(sum(bar.get_height() for bar in axes.patches) == 300 for axes in histograms)
    assert len(pairs) == count * (count - 1) // 2
    assert all(np.nansum(np.ma.filled(axes.collections[0].get_array(), 0)) == 300 for axes in pairs)
    assert rendered_within(figure)


@pytest.mark.parametrize("name", ["contract", "other"])
def test_coverage_shows_every_label_and_pair_and_hatches_voids(name: str, request: pytest.FixtureRequest) -> None:
    contract: Contract = request.getfixturevalue(name)
    count = len(contract.labels)
    labels = drawn_labels(contract, 3000)
    first = contract.labels[0]
    hole = (labels[:, 0] > (first.lower + first.upper) / 2) & (labels[:, 1] < contract.labels[1].upper / 2)
    labels[0, 0] = np.nan
    pairs = pair_coverage(contract, labels[~hole], np.arange(int((~hole).sum())))
    figure = figures.coverage(contract, labels[~hole], pairs)
    *panels, colour_bar = figure.axes
    assert len(panels) == count * (count + 1) // 2
    histograms = [panel for panel in panels if not panel.collections]
    assert [panel.get_title(loc="left") for panel in histograms] == [label.title for label in contract.labels]
    hatched = [sum(patch.get_hatch() is not None for patch in panel.patches) for panel in panels if panel.collections]
    expected = {pair.horizontal.name + pair.vertical.name: int(pair.voids.sum()) for pair in pairs}
    assert sorted(hatched) == sorted(expected.values())
    assert expected[contract.labels[0].name + contract.labels[1].name] > 0
    assert f"{sum(hatched):,} cells of two labels are void" in figure.get_suptitle()
    assert "contract's sampling" in colour_bar.get_xlabel()
    assert rendered_within(figure)


def test_labels_on_nodes_are_shown_by_their_places_and_judged_by_nobody(other: Contract) -> None:
    sampling = other.sampling.model_copy(update={"runs": "nodes"})
    nodes, labels = other.model_copy(update={"sampling": sampling}), drawn_labels(other, 3000)
    figure = figures.coverage(nodes, labels, pair_coverage(nodes, labels, np.arange(3000)))
    first, second = other.labels[:2]
    (panel,) = [axes for axes in figure.axes if axes.get_ylabel() == second.title]
    (points,) = panel.lines
    np.testing.assert_array_equal(points.get_xydata(), np.unique(labels[:, :2], axis=0))
    assert (panel.get_xlim(), panel.get_ylim()) == ((first.lower, first.upper), (second.lower, second.upper))
    assert not panel.collections
    assert figure.get_suptitle().endswith("points are not judged")


def test_coverage_without_voids_says_so(other: Contract) -> None:
    labels = drawn_labels(other, 3000)
    figure = figures.coverage(other, labels, pair_coverage(other, labels, np.arange(3000)))
    assert figure.get_suptitle() == "Coverage by 3,000 spectra: no cell of two labels is void"
    assert not any(patch.get_hatch() for panel in figure.axes for patch in panel.patches)


def test_flux_range_draws_extremes_and_mean_and_marks_what_leaves_the_bounds(contract: Contract) -> None:
    flux = spectra(contract, 20)
    minimum, maximum, mean = flux.min(axis=0), flux.max(axis=0), flux.mean(axis=0)
    maximum[1234], minimum[55], minimum[60] = 7.0, -1e9, np.nan
    figure = figures.flux_range(contract, minimum, maximum, mean)
    (axes,) = figure.axes
    (curve,) = curves(axes, contract)
    np.testing.assert_array_equal(curve, mean)
    below, above = [line for line in axes.lines if line.get_marker() == "x"]
    assert np.asarray(below.get_xdata()).tolist() == [contract.wavelength.pixels[55]]
    assert np.asarray(above.get_xdata()).tolist() == [contract.wavelength.pixels[1234]]
    assert axes.get_ylim()[0] < contract.flux.lower < contract.flux.upper < axes.get_ylim()[1] < 2.0
    assert "2 pixels leave the bounds" in figure.get_suptitle()
    assert marks(axes) == list(contract.regions.line_cores.values())
    assert rendered_within(figure)


def test_flux_range_of_a_sound_grid_says_so(other: Contract) -> None:
    flux = spectra(other, 5)
    figure = figures.flux_range(other, flux.min(axis=0), flux.max(axis=0), flux.mean(axis=0))
    assert "within the contract's bounds" in figure.get_suptitle()
    assert figure.axes[0].get_xlabel().startswith("Wavelength in vacuum")


def test_settings_of_the_caller_stay_as_they_were(contract: Contract) -> None:
    with matplotlib.rc_context({"font.size": 7.0}):
        figures.hero(contract, drawn_labels(contract, 1)[0], *spectra(contract, 2))
        assert matplotlib.rcParams["font.size"] == 7.0


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("teff", 5772.4, "5772 K"),
        ("logg", 4.438, "4.44 dex"),
        ("m_h", -0.5, "\N{MINUS SIGN}0.50 dex"),
        ("vsini", 2.4, "2 km/s"),
        ("resolution", 11500.0, "11500"),
    ],
)
def test_quantity_rounds_to_the_labels_range(contract: Contract, name: str, value: float, text: str) -> None:
    assert quantity(contract.labels[contract.label_names.index(name)], value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.01234, "0.0123"), (9.999, "10.0"), (0.1 - 1e-17, "0.100"), (12345.0, "12300")]
)
def test_three_digits(value: float, text: str) -> None:
    assert three_digits(value) == text


@pytest.mark.parametrize("scale", [1.0, 1e11])
def test_flux_of_any_scale_has_few_ticks(scale: float) -> None:
    """Absolute flux with a tick at every 0.2 would take hundreds of gigabytes."""
    from stellar_emulator.figures.spectra import MOST_TICKS, TICK, _tick

    height = 3.0 * scale
    assert height / _tick(height) <= MOST_TICKS
    assert _tick(3.0) == TICK
