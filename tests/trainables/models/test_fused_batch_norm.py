"""Fused batch normalisation computes what Keras' own does, and leaves as Keras' own."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def two_alike(one_thread: None, precision: str = "float32", **settings):
    """A model with Keras' batch normalisation and one that is fused, with the same odd weights."""
    import keras

    from toprung.trainables.backend.engine import use_precision
    from toprung.trainables.models.fused_batch_norm import fuse

    def model():
        with use_precision(precision):
            norm = keras.layers.BatchNormalization(momentum=0.9, **settings)
            return keras.Sequential([keras.Input((5, 4, 3)), norm])

    stock, fused = model(), model()
    rng = np.random.default_rng(0)
    stock.set_weights(
        [rng.uniform(0.5, 2.0, value.shape).astype(np.float32) for value in stock.get_weights()]
    )
    fused.set_weights(stock.get_weights())
    fuse(fused)
    return stock, fused


def trained(model, images: np.ndarray):
    """Outputs, the gradients of a lopsided loss by images and weights, and the statistics afterwards."""
    import tensorflow as tf

    inputs = tf.constant(images)
    weights = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.cast(model(inputs, training=True), tf.float32)
        loss = tf.reduce_sum(outputs**3)
    gradients = tape.gradient(loss, [inputs, *weights])
    return [outputs, *gradients, *model.get_weights()[len(weights) :]]


@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"center": False}, {"epsilon": 0.5}], ids=str)
@pytest.mark.parametrize("count", [1, 7])
def test_it_computes_what_keras_does(one_thread: None, settings: dict, count: int) -> None:
    stock, fused = two_alike(one_thread, **settings)
    assert type(fused.layers[0]) is not type(stock.layers[0])
    images = np.random.default_rng(1).normal(3.0, 2.0, (count, 5, 4, 3)).astype(np.float32)
    for mine, theirs in zip(trained(fused, images), trained(stock, images), strict=True):
        assert np.asarray(mine) == pytest.approx(np.asarray(theirs), rel=1e-3, abs=1e-3)
    assert np.asarray(fused(images)) == pytest.approx(np.asarray(stock(images)), rel=1e-4, abs=1e-5)


def test_mixed_precision_keeps_the_statistics_in_float32(one_thread: None) -> None:
    stock, fused = two_alike(one_thread, "mixed_bfloat16")
    images = np.random.default_rng(1).normal(3.0, 2.0, (7, 5, 4, 3)).astype(np.float32)
    assert str(fused(images, training=True).dtype) == "<dtype: 'bfloat16'>"
    stock(images, training=True)
    for mine, theirs in zip(fused.get_weights(), stock.get_weights(), strict=True):
        assert mine.dtype == np.float32
        assert mine == pytest.approx(theirs, rel=1e-3)


def test_only_what_has_a_fused_kind_is_changed_and_it_leaves_as_keras_own(one_thread: None) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.models.fused_batch_norm import fuse, unfused

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.BatchNormalization(axis=1),
            layers.BatchNormalization(name="maps"),
            keras.Sequential([layers.Conv2D(2, 1), layers.BatchNormalization(name="inner")]),
            layers.Flatten(),
            layers.BatchNormalization(),
        ]
    )
    fuse(model)

    def changed() -> set[str]:
        return {layer.name for layer in all_layers(model) if type(layer).__name__.startswith("Fused")}

    assert changed() == {"maps", "inner"}
    with unfused(model):
        assert changed() == set()
        assert "Fused" not in model.to_json()
    assert changed() == {"maps", "inner"}
