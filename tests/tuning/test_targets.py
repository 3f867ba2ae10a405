"""Real trainings of each target: what judges them, what they cost, and what they never read."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from synthetic import SMALL, synthetic_runs, write_rows

from stellar_emulator.evaluation.flux_error import find, flux_error_rows
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.source import Source
from stellar_emulator.grid.split import split_rows
from stellar_emulator.grid.store import Rows, run_hashes
from stellar_emulator.networks.preset import Preset, read_preset
from stellar_emulator.training.train_emulator import Fitting
from stellar_emulator.tuning.hypermodel import Family, planned_epochs, with_epochs
from stellar_emulator.tuning.materials import Materials
from stellar_emulator.tuning.plan import TARGETS, Target
from stellar_emulator.tuning.targets import Trained, Workshop
from stellar_emulator.tuning.trial import Figures
from stellar_emulator.tuning.trial_figures import measure


def spectra() -> Rows:
    batches = list(expanded(SMALL, synthetic_runs(SMALL, 60), SMALL.sampling.seed, 2))
    return Rows(
        *(np.concatenate([getattr(b, name) for b in batches]) for name in ("run_id", "labels", "weight", "flux"))
    )


def materials(folder: Path, poisoned: bool) -> Materials:
    """A grid and its intrinsic spectra; poisoned: those of test runs are not a number."""
    rows, intrinsic = spectra(), synthetic_runs(SMALL, 60)
    grid = write_rows(folder / "clean.parquet", rows, SMALL)
    split = split_rows(SMALL, run_hashes(grid, SMALL))
    if poisoned:
        flux, own = rows.flux.copy(), intrinsic.flux.copy()
        flux[split.test] = np.nan
        own[np.isin(intrinsic.run_id, rows.run_id[split.test])] = np.nan
        grid = write_rows(folder / "poisoned.parquet", replace(rows, flux=flux), SMALL)
        intrinsic = replace(intrinsic, flux=own)
    assert len(split.test) > 0
    return Materials(Source(grid, intrinsic), SMALL, split, seed=1, folder=folder / grid.path.stem)


def quick(family: Family) -> Preset:
    preset = with_epochs(read_preset("smoke"), "chain", 2)
    return preset.model_copy(update={"family": family})


def trained(made: Materials, target: Target, family: Family, folder: Path) -> tuple[Trained, Figures]:
    preset = quick(family)
    shop = Workshop(target, made, preset, folder / "shared")
    fitting = Fitting(folder / "fits", lambda name: lambda epoch, metrics: None, planned_epochs(preset, target))
    found = shop.train(preset, fitting, None)
    return found, measure(made, found)


@pytest.mark.parametrize(
    ("target", "family"), [("chain", "exact"), ("autoencoder", "exact"), ("autoencoder", "learned")]
)
def test_test_runs_are_never_read(tmp_path: Path, target: Target, family: Family) -> None:
    figures = []
    for name in ("clean", "poisoned"):
        made = materials(tmp_path, poisoned=name == "poisoned")
        found, measured = trained(made, target, family, tmp_path / name)
        assert np.isfinite(found.flux).all()
        figures.append(measured)
    clean, poisoned = figures
    assert poisoned.mae == pytest.approx(clean.mae, rel=1e-5)
    assert poisoned.hard_mae == pytest.approx(clean.hard_mae, rel=1e-5, nan_ok=True)


def test_a_chain_is_judged_by_its_flux_on_validation_runs(tmp_path: Path) -> None:
    made = materials(tmp_path, poisoned=False)
    found, figures = trained(made, "chain", "exact", tmp_path)
    rows = made.validation
    assert set(rows.run_id) <= set(made.source.grid.run_id[made.split.validation])
    flux = found.emulator.network(rows.labels)
    own = find(flux_error_rows(SMALL, "chain", rows.labels, rows.weight, rows.run_id, rows.flux, flux), "chain")
    assert figures.mae == pytest.approx(own.mae)
    assert figures.core_mae == pytest.approx(own.core_mae)
    preset = quick("exact")
    widths = [7, *preset.label_network.hidden, 12, *preset.autoencoder.decoder, 32]
    assert figures.parameters == sum(a * b + b for a, b in pairwise(widths))
    assert figures.multiply_adds > found.emulator.network.chain.weights  # broadening costs too
    assert figures.milliseconds > 0.0


def test_label_networks_learn_from_one_autoencoder(tmp_path: Path) -> None:
    made, preset = materials(tmp_path, poisoned=False), quick("exact")
    shop = Workshop("label_network", made, preset, tmp_path / "shared")
    shop.prepare()
    kept = (tmp_path / "shared" / "autoencoder" / "fit.json").read_bytes()
    fitting = Fitting(tmp_path / "fits", lambda name: lambda epoch, metrics: None, 1)
    found = shop.train(preset, fitting, None)
    assert set(fitting.fits) == {"label_network"}
    assert (tmp_path / "shared" / "autoencoder" / "fit.json").read_bytes() == kept
    assert np.isfinite(found.flux).all()


@pytest.mark.parametrize("target", TARGETS)
def test_a_trial_goes_on_from_an_earlier_ones_weights(tmp_path: Path, target: Target) -> None:
    """One that learns next to nothing gives what the earlier one gave, and fits the target's last network alone."""
    made = materials(tmp_path, poisoned=False)
    first, _ = trained(made, target, "exact", tmp_path)
    still = {"learning_rate": 1e-9, "epochs": 1}
    preset = quick("exact")
    parts = {name: getattr(preset, name) for name in ("autoencoder", "label_network")}
    update = {
        name: part.model_copy(update={"training": part.training.model_copy(update=still)})
        for name, part in parts.items()
    }
    assert preset.fine_tuning is not None
    slow = preset.model_copy(update={**update, "fine_tuning": preset.fine_tuning.model_copy(update=still)})
    fitting = Fitting(tmp_path / "later", lambda name: lambda epoch, metrics: None, 1)
    later = Workshop(target, made, preset, tmp_path / "shared").train(slow, fitting, tmp_path / "fits")
    np.testing.assert_allclose(later.flux, first.flux, atol=1e-4)
    assert set(fitting.fits) == {target}


def test_fewer_components_are_the_leading_ones(tmp_path: Path) -> None:
    made = materials(tmp_path, poisoned=False)
    many, few = (made.examples(quick("exact").model_copy(update={"basis": number})).space for number in (20, 5))
    assert few.width == 5
    assert many.width == 20
    np.testing.assert_array_equal(few.basis.components, many.basis.components[:5])  # type: ignore[attr-defined]
