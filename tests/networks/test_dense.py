import keras
import numpy as np
import pytest

from rounding import assert_within, both, chain_error
from stellar_emulator.networks.dense import (
    ACTIVATIONS,
    DenseChain,
    DenseLayer,
    from_keras,
    linear_map,
    scale_inputs,
    scale_outputs,
)

pytestmark = pytest.mark.rounding(keras=True)

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(9, 4)).astype(np.float32)


def layer(inputs: int, outputs: int, activation: str) -> DenseLayer:
    kernel, bias = RANDOM.normal(size=(inputs, outputs)), RANDOM.normal(size=outputs)
    return DenseLayer(kernel.astype(np.float32), bias.astype(np.float32), activation)


def chain(activation: str = "silu") -> DenseChain:
    return DenseChain((layer(4, 8, activation), layer(8, 3, "linear")))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_keras_model_gives_the_same_values(activation: str) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, activation=activation, bias_initializer="random_normal"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(8, activation=activation, bias_initializer="random_normal"),
            keras.layers.Dense(3, bias_initializer="random_normal"),
        ]
    )
    plain = from_keras(model)
    assert [(one.kernel.shape, one.activation) for one in plain.layers] == [
        ((4, 16), activation),
        ((16, 8), activation),
        ((8, 3), "linear"),
    ]
    expected = keras.ops.convert_to_numpy(model(30 * INPUTS, training=False))
    found = plain(30 * INPUTS)
    assert found.dtype == np.float32
    assert_within(found, expected, both(chain_error(plain, 30 * INPUTS)))


def test_known_values_of_every_activation() -> None:
    at = np.array([-1.0, 0.0, 2.0], dtype=np.float32)
    expected = {
        "linear": [-1.0, 0.0, 2.0],
        "relu": [0.0, 0.0, 2.0],
        "silu": [-0.26894143, 0.0, 1.76159416],
        "gelu": [-0.15865526, 0.0, 1.95449974],
        "tanh": [-0.76159416, 0.0, 0.96402758],
    }
    assert expected.keys() == ACTIVATIONS.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(ACTIVATIONS[name](at), values, rtol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_scaling_of_inputs_is_folded_into_the_first_layer(activation: str) -> None:
    scale, shift = np.array([1e-4, 2.0, -1.0, 0.5]), np.array([-1.0, 0.0, 3.0, 0.25])
    plain = chain(activation)
    physical = (INPUTS - shift) / scale
    folded = scale_inputs(plain, scale, shift)
    assert len(folded.layers) == 2
    np.testing.assert_allclose(folded(physical.astype(np.float32)), plain(INPUTS), atol=2e-4)
    assert np.abs(folded(INPUTS) - plain(INPUTS)).max() > 0.1


def test_scaling_of_outputs_is_folded_into_the_last_layer() -> None:
    scale, shift = np.array([5700.0, 1.5, -150.0]), np.array([9300.0, 3.5, 150.0])
    plain = chain()
    folded = scale_outputs(plain, scale, shift)
    assert len(folded.layers) == 2
    np.testing.assert_allclose(folded(INPUTS), plain(INPUTS) * scale + shift, rtol=1e-5, atol=1e-2)


def test_a_bent_output_cannot_be_scaled_inside() -> None:
    with pytest.raises(ValueError, match="outputs of a relu layer"):
        scale_outputs(DenseChain((layer(4, 3, "relu"),)), np.ones(3), np.zeros(3))


def test_chains_add_in_their_order() -> None:
    first, second = chain(), linear_map(RANDOM.normal(size=(3, 5)), RANDOM.normal(size=5))
    both = first + second
    np.testing.assert_array_equal(both(INPUTS), second(first(INPUTS)))
    assert both.weights == 4 * 8 + 8 * 3 + 3 * 5


def test_a_linear_map_is_its_matrix() -> None:
    kernel, bias = RANDOM.normal(size=(4, 2)), RANDOM.normal(size=2)
    np.testing.assert_allclose(linear_map(kernel, bias)(INPUTS), INPUTS @ kernel + bias, rtol=1e-5, atol=1e-5)
