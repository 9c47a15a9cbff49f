"""A network with folded batch norms computes what Keras' own network does, and so do its gradients."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def with_odd_values(model):
    """The model with weights and statistics that no layer starts with."""
    import keras

    rng = np.random.default_rng(0)
    for variable in model.variables:
        low, high = (
            (0.2, 2.0) if isinstance(variable, keras.Variable) and "var" in variable.name else (-0.5, 0.7)
        )
        variable.assign(rng.uniform(low, high, variable.shape).astype(np.float32))
    return model


def graph(*layers):
    """A model of a chain of layers on images (8, 7, 4)."""
    import keras

    inputs = x = keras.Input((8, 7, 4))
    for layer in layers:
        x = layer(x)
    return with_odd_values(keras.Model(inputs, x))


def computed(function, model, count: int = 3):
    """Outputs and the gradients of a lopsided loss by the images and by each weight."""
    import tensorflow as tf

    images = tf.constant(
        np.random.default_rng(1).normal(0.3, 1.0, (count, *model.input_shape[1:])), tf.float32
    )
    weights = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = tf.cast(function(images), tf.float32)
        loss = tf.reduce_mean(outputs**2 + 0.3 * outputs)
    return [outputs, *tape.gradient(loss, [images, *weights])]


def assert_equal(model, folded_count: int) -> None:
    from toprung.trainables.models.folded_batch_norm import FoldedNetwork

    folded = FoldedNetwork(model)
    assert len(folded.folded) == folded_count
    theirs = computed(lambda images: model(images, training=False), model)
    for mine, expected in zip(computed(folded, model), theirs, strict=True):
        size = float(np.abs(expected).max())
        # Sums of a few hundred products, added up in another order: 1e-4 of the largest is 800 roundings of float32.
        assert np.asarray(mine) == pytest.approx(np.asarray(expected), rel=1e-3, abs=1e-4 * size + 1e-7)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Conv2D", {"filters": 6, "kernel_size": 3}),
        ("Conv2D", {"filters": 6, "kernel_size": (3, 2), "use_bias": False, "padding": "same"}),
        ("Conv2D", {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same"}),
        ("Conv2D", {"filters": 6, "kernel_size": 3, "dilation_rate": 2}),
        ("Conv2D", {"filters": 6, "kernel_size": 1}),
        ("Conv2D", {"filters": 6, "kernel_size": 1, "strides": 2, "use_bias": False}),
        ("DepthwiseConv2D", {"kernel_size": 3}),
        ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 3, "strides": 2, "use_bias": False}),
        ("SeparableConv2D", {"filters": 6, "kernel_size": 3, "padding": "same"}),
        ("SeparableConv2D", {"filters": 6, "kernel_size": 3, "depth_multiplier": 2, "use_bias": False}),
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", [{}, {"scale": False}, {"center": False, "epsilon": 0.3}], ids=str)
def test_each_kind_of_convolution(one_thread: None, kind: str, settings: dict, norm: dict) -> None:
    import keras

    norm_layer = keras.layers.BatchNormalization(**norm)
    assert_equal(
        graph(getattr(keras.layers, kind)(**settings), norm_layer, keras.layers.ReLU()), folded_count=1
    )


def test_what_is_no_pair_of_a_convolution_and_its_norm_stays(one_thread: None) -> None:
    import keras

    layers = keras.layers
    assert_equal(graph(layers.Conv2D(6, 3, activation="relu"), layers.BatchNormalization()), folded_count=0)
    assert_equal(graph(layers.Conv2D(6, 3), layers.BatchNormalization(axis=1)), folded_count=0)
    assert_equal(graph(layers.BatchNormalization(), layers.Conv2D(6, 3), layers.ReLU()), folded_count=0)
    assert_equal(graph(layers.Conv2D(6, 3)), folded_count=0)
    rounded, exact = layers.Conv2D(6, 3, dtype="mixed_bfloat16"), layers.BatchNormalization(dtype="float32")
    assert_equal(graph(rounded, exact), folded_count=0)


@pytest.mark.parametrize("read_by", ["a second layer", "the model's output"])
def test_an_output_that_is_read_twice_stays(one_thread: None, read_by: str) -> None:
    import keras

    inputs = keras.Input((8, 7, 4))
    convolved = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    normed = keras.layers.BatchNormalization()(convolved)
    if read_by == "a second layer":
        normed = keras.layers.Add()([normed, convolved])
    outputs = [normed, convolved] if read_by == "the model's output" else normed
    from toprung.trainables.models.folded_batch_norm import FoldedNetwork

    assert FoldedNetwork(keras.Model(inputs, outputs)).folded == {}


@pytest.mark.parametrize("shared", ["convolution", "norm"])
def test_a_layer_that_is_called_twice_stays(one_thread: None, shared: str) -> None:
    import keras

    inputs = keras.Input((8, 7, 4))
    convolution, norm = keras.layers.Conv2D(4, 3, padding="same"), keras.layers.BatchNormalization()
    x = norm(convolution(inputs))
    second = convolution if shared == "convolution" else keras.layers.Conv2D(4, 3, padding="same")
    last = norm if shared == "norm" else keras.layers.BatchNormalization()
    model = with_odd_values(keras.Model(inputs, last(second(x))))
    assert_equal(model, folded_count=0)


@pytest.mark.parametrize(
    ("name", "folded_count"),
    # The rest of the norms of the pre-activated networks stand before their convolutions.
    [("MobileNetV2", 52), ("EfficientNetB0", 49), ("Xception", 40), ("ResNet50V2", 32), ("ConvNeXtTiny", 0)],
)
def test_networks_of_keras(one_thread: None, name: str, folded_count: int) -> None:
    import keras

    from toprung.trainables.models.folded_batch_norm import FoldedNetwork

    body = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(75, 75, 3))
    folded = FoldedNetwork(body)
    assert len(folded.folded) == folded_count
    images = np.random.default_rng(0).uniform(-1.0, 1.0, (2, 75, 75, 3)).astype(np.float32)
    theirs, mine = np.asarray(body(images, training=False)), np.asarray(folded(images))
    assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-4 * float(np.abs(theirs).max()))


def test_mixed_precision_computes_in_it_and_scales_in_float32(one_thread: None) -> None:
    import keras

    from toprung.trainables.backend.engine import use_precision
    from toprung.trainables.models.layers import InferenceOnly

    def outputs(precision: str, folded: bool):
        with use_precision(precision):
            inputs = keras.Input((8, 7, 4))
            body = graph(keras.layers.Conv2D(6, 3), keras.layers.BatchNormalization())
            model = keras.Model(inputs, InferenceOnly(body)(inputs) if folded else body(inputs))
        images = np.random.default_rng(1).normal(0.3, 1.0, (5, 8, 7, 4)).astype(np.float32)
        found = model(images, training=False)
        return keras.backend.standardize_dtype(found.dtype), np.asarray(keras.ops.cast(found, "float32"))

    dtype, mine = outputs("mixed_bfloat16", folded=True)
    exact = outputs("float32", folded=False)[1]
    theirs = outputs("mixed_bfloat16", folded=False)[1]
    assert dtype == "bfloat16"
    assert np.abs(mine - exact).mean() < 1.5 * np.abs(theirs - exact).mean()
