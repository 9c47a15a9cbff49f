"""Batch normalisation of feature maps in one operation and one for its gradient, where TensorFlow computes.

Keras puts it together from means, squares and products, each a pass over the activations and a dozen operations to
trace. Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Iterator


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """As the layer it is made from, with the same variables; training mode alone is computed otherwise."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        images = ops.cast(inputs, "float32")
        channels = images.shape[-1]
        scale = ops.cast(self.gamma, "float32") if self.scale else ops.ones((channels,))
        offset = ops.cast(self.beta, "float32") if self.center else ops.zeros((channels,))
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            images, scale, offset, epsilon=self.epsilon, is_training=True
        )
        # The operation tells N / (N - 1) times the variance that it divides by.
        count = ops.cast(ops.size(images), "float32") / channels
        variance = variance * (ops.maximum(count - 1.0, 1.0) / count)
        for held, seen in ((self.moving_mean, mean), (self.moving_variance, variance)):
            held.assign(held * self.momentum + seen * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


def fuse(model: keras.Model) -> None:
    """Turn each stock batch normalisation of feature maps, channels last, into its fused kind; JAX fuses by itself."""
    if keras.backend.backend() != "tensorflow":
        return
    for layer in model._flatten_layers():
        if type(layer) is keras.layers.BatchNormalization and _can_be_fused(layer):
            layer.__class__ = FusedBatchNormalization


@contextmanager
def unfused(model: keras.Model) -> Iterator[None]:
    """In the block all layers, nested ones too, are Keras' own again, as a copy or a saved model needs them."""
    changed = [layer for layer in model._flatten_layers() if type(layer) is FusedBatchNormalization]
    for layer in changed:
        layer.__class__ = keras.layers.BatchNormalization
    try:
        yield
    finally:
        for layer in changed:
            layer.__class__ = FusedBatchNormalization


def _can_be_fused(layer: keras.layers.BatchNormalization) -> bool:
    if layer.synchronized or layer.renorm or not layer.built or layer.input_spec is None:
        return False
    rank = layer.input_spec.ndim
    return bool(rank == 4 and layer.axis in (-1, 3) and layer.variable_dtype == "float32")
