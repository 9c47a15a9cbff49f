"""A pretrained network in inference mode with each batch norm folded into the weights of the convolution before it.

With fixed statistics a batch norm is a scale and an offset for each channel. Keras computes them as passes over all
activations, with three more for the gradients: with MobileNetV2 a third of a fine-tuning step on a CPU. The scale of
the weights is a product of a few thousand numbers. Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import keras

from toprung.trainables.backend.engine import has_accelerator
from toprung.trainables.backend.keras_internals import run_in_inference, sole_readers
from toprung.trainables.backend.operations import ops
from toprung.trainables.models.fused_batch_norm import FusedBatchNormalization

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Tensor

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
NORMS = (keras.layers.BatchNormalization, FusedBatchNormalization)


class FoldedNetwork:
    """A network as a function of images in inference mode; weights and statistics are read at each call.

    folded: the convolutions whose batch norm is folded into them, each with it.

    Args:
        body: A model with one input and one output.
    """

    def __init__(self, body: keras.Model) -> None:
        self._body = body
        pairs = sole_readers(body).items()
        self.folded = {layer: norm for layer, norm in pairs if _can_be_folded(layer, norm)}
        self._replaced = {layer: partial(_convolved, layer, norm) for layer, norm in self.folded.items()}
        self._replaced |= dict.fromkeys(self.folded.values(), _unchanged)

    def __call__(self, images: Tensor) -> Tensor:
        """What `body(images, training=False)` computes, but for the order of its roundings."""
        if not self.folded:
            outputs: Tensor = self._body(images, training=False)
            return outputs
        return run_in_inference(self._body, images, self._replaced)


def _can_be_folded(layer: keras.Operation, norm: keras.Operation) -> bool:
    """Whether a layer is a convolution, and the reader of its output a batch norm of its channels and precision."""
    if (
        type(layer) not in CONVOLUTIONS
        or type(norm) not in NORMS
        or layer.compute_dtype != norm.compute_dtype
    ):
        return False
    is_linear = layer.activation is keras.activations.linear
    is_last = layer.data_format == "channels_last" and norm.axis in (-1, 3)
    return bool(is_linear and is_last and layer.activity_regularizer is None)


def _unchanged(inputs: Tensor) -> Tensor:
    return inputs


def _convolved(layer: keras.Layer, norm: keras.layers.BatchNormalization, inputs: Tensor) -> Tensor:
    """The output of a convolution and the batch norm behind it (Jacob et al. 2018, section 3.2)."""
    # In float32 whatever the activations are: the product of two rounded numbers would be rounded twice.
    scale = ops.rsqrt(ops.cast(norm.moving_variance, "float32") + norm.epsilon)
    if norm.scale:
        scale = scale * ops.cast(norm.gamma, "float32")
    offset = -ops.cast(norm.moving_mean, "float32") * scale
    if norm.center:
        offset = offset + ops.cast(norm.beta, "float32")
    if layer.use_bias:
        offset = offset + ops.cast(layer.bias, "float32") * scale
    # What a layer does before its `call`, which is left out here.
    inputs = ops.cast(inputs, layer.compute_dtype)
    return _unbiased(layer, inputs, scale) + ops.cast(offset, layer.compute_dtype)


def _unbiased(layer: keras.Layer, inputs: Tensor, scale: Tensor) -> Tensor:
    """A convolution without its bias, with each output channel times its scale, float32 (channels,)."""

    def scaled(kernel: Tensor, shape: tuple[int, ...]) -> Tensor:
        return ops.cast(ops.cast(kernel, "float32") * ops.reshape(scale, shape), inputs.dtype)

    settings = {
        "strides": tuple(layer.strides),
        "padding": layer.padding,
        "data_format": layer.data_format,
        "dilation_rate": layer.dilation_rate,
    }
    if isinstance(layer, keras.layers.SeparableConv2D):
        pointwise = scaled(layer.pointwise_kernel, (-1,))
        depthwise = ops.cast(layer.depthwise_kernel, inputs.dtype)
        return ops.separable_conv(inputs, depthwise, pointwise, **settings)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        # Its output channels are numbered by input channel, then by multiplier.
        return ops.depthwise_conv(inputs, scaled(layer.kernel, tuple(layer.kernel.shape[2:])), **settings)
    kernel = scaled(layer.kernel, (-1,))
    if _is_pointwise(layer) and not has_accelerator():
        # On a CPU the gradients of a product of matrices take two thirds of those of a convolution. On a GPU TensorFlow
        # may keep activations channels first between convolutions, and would turn them around for each product.
        size, channels = ops.shape(inputs), kernel.shape[2:]
        product = ops.matmul(ops.reshape(inputs, (-1, channels[0])), ops.reshape(kernel, channels))
        return ops.reshape(product, (*size[:3], channels[1]))
    return ops.conv(inputs, kernel, **settings)


def _is_pointwise(layer: keras.layers.Conv2D) -> bool:
    """Whether a convolution looks at one pixel at a time, and at all channels of it."""
    return bool(tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1) and layer.groups == 1)
