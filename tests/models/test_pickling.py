"""Models sent to other processes, copied, compared, hashed, and shown."""

import copy
import multiprocessing
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import TINY
from tiny_models import ROW, tiny_emulator, tiny_validator

from stellar_emulator import Emulator, Validator
from stellar_emulator.errors import InputError
from stellar_emulator.models import loaded

FLUX = np.full((1, TINY.wavelength.count), 0.9, dtype=np.float32)


@pytest.fixture
def emulator(tmp_path: Path) -> Emulator:
    return tiny_emulator(tmp_path / "emulator")


@pytest.fixture
def validator(tmp_path: Path) -> Validator:
    return tiny_validator(tmp_path / "validator")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_both_are_pickled_small(protocol: int, emulator: Emulator, validator: Validator) -> None:
    loaded._received.cache_clear()
    for model, given in ((emulator, ROW), (validator, FLUX)):
        sent = pickle.dumps(model, protocol)
        assert len(sent) < 1000
        received = pickle.loads(sent)
        assert received is not model
        assert received == model
        np.testing.assert_array_equal(received(given), model(given))
        assert pickle.loads(sent) is received  # a pool's tasks share what their process has loaded


def test_copies_are_the_model_itself(emulator: Emulator) -> None:
    assert copy.copy(emulator) is emulator
    assert copy.deepcopy({"model": emulator})["model"] is emulator


def test_processes_that_are_spawned_answer_alike(emulator: Emulator, validator: Validator) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(emulator.flux, (ROW,)), emulator.flux(ROW))
        np.testing.assert_array_equal(pool.apply(validator.labels, (FLUX,)), validator.labels(FLUX))


def test_processes_of_joblib_and_dask_answer_alike(emulator: Emulator) -> None:
    joblib, dask = pytest.importorskip("joblib"), pytest.importorskip("dask")
    flux = emulator.flux(ROW)
    for found in (
        *joblib.Parallel(1, backend="loky")([joblib.delayed(emulator.flux)(ROW)]),
        *dask.compute(dask.delayed(flux_of)(emulator), scheduler="processes", num_workers=1),
    ):
        np.testing.assert_array_equal(found, flux)


def flux_of(emulator: Any) -> np.ndarray:
    return np.asarray(emulator.flux(ROW))


def test_a_folder_that_changed_or_went_is_named(emulator: Emulator, tmp_path: Path) -> None:
    loaded._received.cache_clear()
    sent, folder = pickle.dumps(emulator), emulator.bundle.folder
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="emulator is no model's folder"):
        pickle.loads(sent)
    other = tiny_validator(tmp_path / "validator")
    other.bundle.folder.rename(folder)
    with pytest.raises(InputError, match="holds a model of kind validator"):
        pickle.loads(sent)


def test_another_model_in_the_same_folder_is_not_taken_for_it(emulator: Emulator) -> None:
    loaded._received.cache_clear()
    kind, (cls, folder, digest) = emulator.__reduce__()
    with pytest.raises(InputError, match=f"holds model {digest[:12]} now, and 000000000000 was sent"):  # type: ignore[index]
        kind(cls, folder, "0" * 64)


def test_models_are_hashed_and_compared_by_what_they_are(emulator: Emulator, validator: Validator) -> None:
    again = Emulator.load(emulator.bundle.folder)
    assert (again, hash(again)) == (emulator, hash(emulator))
    assert len({again, emulator, validator}) == 2
    assert emulator != validator
    assert emulator != "emulator"
    assert hash(again.bundle) == hash(emulator.bundle)


def test_a_model_shows_itself_in_one_line(emulator: Emulator, validator: Validator) -> None:
    axis = "777 pixels from 5000 to 5155.2 Angstrom, vacuum"
    assert repr(emulator) == f"<Emulator tiny-emulator {emulator.digest[:12]} of contract tiny: {axis}>"
    assert repr(validator).startswith(f"<Validator tiny-label-validator {validator.digest[:12]} of contract tiny: ")
    assert len(repr(emulator.bundle)) < 300
