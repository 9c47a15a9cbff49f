"""Batch normalisation of feature maps in one operation, and its gradient in another, under TensorFlow.

Keras composes it of means, squares and products, each a pass over the activations and a dozen operations to trace.
Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras

from toprung.trainables.backend.keras_internals import all_layers
from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.trainables.backend.tensors import Tensor


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras' layer with the same variables (Ioffe & Szegedy 2015); only its training mode is computed differently."""

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        if not (training and self.trainable) or mask is not None:
            normalized: Tensor = super().call(inputs, training=training, mask=mask)
            return normalized
        import tensorflow as tf

        images = ops.cast(inputs, "float32")
        channels = images.shape[-1]
        scale = ops.cast(self.gamma, "float32") if self.scale else ops.ones((channels,))
        offset = ops.cast(self.beta, "float32") if self.center else ops.zeros((channels,))
        fused = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=scale,
            offset=offset,
            mean=tf.constant([]),
            variance=tf.constant([]),
            epsilon=self.epsilon,
            is_training=True,
        )
        outputs, mean, variance = fused.y, fused.batch_mean, fused.batch_variance
        # The operation returns N / (N - 1) times the variance that it divides by.
        count = ops.cast(ops.size(images), "float32") / channels
        variance = variance * (ops.maximum(count - 1.0, 1.0) / count)
        for average, batch_value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + batch_value * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


def fuse(model: keras.Model) -> None:
    """Make each stock batch normalisation of feature maps, channels last, a fused one; JAX fuses by itself."""
    if keras.backend.backend() != "tensorflow":
        return
    for layer in all_layers(model):
        if type(layer) is keras.layers.BatchNormalization and _can_be_fused(layer):
            layer.__class__ = FusedBatchNormalization


@contextmanager
def unfused(model: keras.Model) -> Iterator[None]:
    """Make all layers Keras' own in the block, nested ones too, as a copy or a saved model needs them."""
    changed = [layer for layer in all_layers(model) if type(layer) is FusedBatchNormalization]
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
