import io
import pickle

import numpy as np
import pytest

from stellar_emulator.grid.engines.synspec import atmosphere


class CallsSystem:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("exit 1",)


def test_a_pickle_that_names_os_system_is_refused() -> None:
    with pytest.raises(pickle.UnpicklingError, match="system has no business"):
        atmosphere._NumpyUnpickler(io.BytesIO(pickle.dumps(CallsSystem()))).load()


@pytest.mark.parametrize(
    "code",
    [
        b"cdill._dill\n_import_module\n(Vos\ntR.",
        b"cdill._dill\n_get_attr\n(cdill._dill\n_import_module\n(Vnumpy.core._multiarray_umath\ntRVfrombuffer\ntR.",
        b"cbuiltins\neval\n(V1\ntR.",
    ],
)
def test_dill_can_reach_nothing_but_two_numpy_functions(code: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError, match="no business"):
        atmosphere._NumpyUnpickler(io.BytesIO(code)).load()


@pytest.mark.synspec
@pytest.mark.parametrize("labels", [(3600.0, 2.0, 1.5), (5777.0, 4.44, 0.0), (8000.0, 3.0, -1.5), (15000.0, 5.0, 0.0)])
def test_structures_are_physical(labels: tuple[float, float, float]) -> None:
    structure = atmosphere.atmosphere(*labels)
    assert 60 <= len(structure.column_mass) <= atmosphere.LAYERS_KEPT
    assert (np.diff(structure.column_mass) > 0).all()
    assert (structure.temperature > 1000.0).all()
    electron_share = structure.electron_density * atmosphere.BOLTZMANN * structure.temperature / structure.gas_pressure
    assert electron_share.max() <= atmosphere.ELECTRON_PRESSURE_LIMIT * (1 + 1e-12)
    hydrostatic = structure.gas_pressure[-1] / (10.0 ** labels[1] * structure.column_mass[-1])
    assert 0.5 < hydrostatic < 1.2


@pytest.mark.synspec
@pytest.mark.parametrize("edge", [atmosphere.COOL_UNTIL, atmosphere.HOT_FROM])
def test_the_two_networks_are_blended_without_a_jump(edge: float) -> None:
    below, above = atmosphere.atmosphere(edge - 0.01, 4.0, 0.0), atmosphere.atmosphere(edge + 0.01, 4.0, 0.0)
    np.testing.assert_allclose(below.temperature, above.temperature, rtol=1e-4)
    np.testing.assert_allclose(below.gas_pressure, above.gas_pressure, rtol=1e-3)


@pytest.mark.synspec
def test_distance_tells_the_training_set_from_its_outside() -> None:
    assert atmosphere.distance_to_training_set(5750.0, 4.5, 0.0) < 0.5
    assert atmosphere.distance_to_training_set(15000.0, 2.0, 1.5) > 1.0
