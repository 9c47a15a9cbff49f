"""The CNN family: blocks of convolutions, then a small head.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from toprung.spaces.families import cnn
from toprung.spaces.families.cnn_blocks import blocks_of
from toprung.trainables.models.layers import RuntimeDense, RuntimeDropout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.spaces.definition.trial import OptunaTrial
    from toprung.spaces.families.cnn_blocks import Block
    from toprung.trainables.backend.tensors import Tensor
    from toprung.trainables.task.task import Task

LAYERS = keras.layers
SMALLEST_SIDE = 4


# Below this many channels a depthwise convolution has nothing to separate.
SEPARABLE_CHANNELS = 8


class CnnFamily:
    """Plain (Simonyan & Zisserman 2015), residual (He et al. 2016) or depthwise-separable (Chollet 2017) blocks.

    `spaces.families.cnn` explains each key; its `DEFAULTS` are the values of keys that a configuration lacks.
    """

    dynamic = frozenset({"dropout", "dropout_step", "head_dropout", "head_l2"})

    def space(self, trial: OptunaTrial) -> dict[str, Any]:
        """Draw an architecture, its augmentation and its training recipe."""
        return cnn.space(trial)

    def build(self, config: Mapping[str, Any], task: Task) -> keras.Model:
        """A functional model from images with values 0 to 255 to the task's logits.

        A block halves its input as long as both sides keep 4 pixels, so that deep configurations are valid on small
        images; the blocks of a `stack` halve theirs whenever they can.
        """
        settings = {**cnn.DEFAULTS, **config}
        inputs = keras.Input(task.image_shape)
        signed = settings["pixel_range"] == "signed"
        scale, offset = (1.0 / 127.5, -1.0) if signed else (1.0 / 255.0, 0.0)
        x = LAYERS.Rescaling(scale, offset=offset)(inputs)
        for index, block in enumerate(blocks_of(settings)):
            x = _block(x, settings, block, index)
        return keras.Model(inputs, _head(x, settings, task.outputs))


def _block(x: Tensor, settings: Mapping[str, Any], block: Block, index: int) -> Tensor:
    start, residual = x, settings["block_type"] == "residual"
    strided = settings["pooling"] == "strided"
    stride = 1
    for number in range(block.convs):
        last = number == block.convs - 1
        stride = 2 if last and strided and block.reduces and _can_halve(x, settings) else 1
        x = _conv(x, settings, block.filters, stride)
        x = _norm(x, settings, "conv")
        if not (residual and last):
            x = _activation(x, settings)
    if residual:
        x = _activation(LAYERS.Add()([x, _shortcut(start, settings, block.filters, stride)]), settings)
    if block.reduces and not strided and _can_halve(x, settings):
        x = (LAYERS.MaxPooling2D if settings["pooling"] == "max" else LAYERS.AveragePooling2D)(2)(x)
    x = RuntimeDropout("dropout", whole_channels=True, steps=index)(x)
    return _norm(x, settings, "block_end")


def _conv(x: Tensor, settings: Mapping[str, Any], filters: int, stride: int) -> Tensor:
    size, channels = settings["kernel_size"], x.shape[-1]
    # Without padding the block's output and its input could not be added, and a kernel may be wider than the image.
    unpadded = (
        settings["padding"] == "valid" and settings["block_type"] != "residual" and min(x.shape[1:3]) >= size
    )
    shared: dict[str, Any] = {
        "strides": stride,
        "padding": "valid" if unpadded else "same",
        "use_bias": not _normalises(settings, "conv"),
    }
    if settings["block_type"] == "separable" and channels >= SEPARABLE_CHANNELS:
        # Keras counts a depthwise kernel's inputs over all channels; each output sees one.
        depthwise = keras.initializers.VarianceScaling(float(channels), mode="fan_in")
        separable = LAYERS.SeparableConv2D(
            filters,
            size,
            depthwise_initializer=depthwise,
            pointwise_initializer="he_normal",
            depthwise_constraint=_filter_norm(settings, [0, 1]),
            pointwise_constraint=_filter_norm(settings, [0, 1, 2]),
            **shared,
        )
        return _apply(separable, x)
    bound = _filter_norm(settings, [0, 1, 2])
    conv = LAYERS.Conv2D(filters, size, kernel_initializer="he_normal", kernel_constraint=bound, **shared)
    return _apply(conv, x)


def _filter_norm(settings: Mapping[str, Any], axis: list[int]) -> keras.constraints.Constraint | None:
    """The bound on the norm of each filter, None for no bound; `axis` are the axes of one filter."""
    return (
        keras.constraints.MaxNorm(settings["conv_max_norm"], axis=axis) if settings["conv_max_norm"] else None
    )


def _shortcut(x: Tensor, settings: Mapping[str, Any], filters: int, stride: int) -> Tensor:
    """The block's input, projected where its shape differs from the block's output."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    x = LAYERS.Conv2D(
        filters,
        1,
        strides=stride,
        use_bias=not _normalises(settings, "conv"),
        kernel_initializer="he_normal",
        kernel_constraint=_filter_norm(settings, [0, 1, 2]),
    )(x)
    return _norm(x, settings, "conv")


def _head(x: Tensor, settings: Mapping[str, Any], outputs: int) -> Tensor:
    x = LAYERS.Flatten()(x) if settings["head"] == "flatten" else LAYERS.GlobalAveragePooling2D()(x)
    widths = [width for width in (settings["dense_units"], settings["dense_units_2"]) if width]
    for width in widths:
        x = RuntimeDropout("head_dropout")(_activation(_dense(width, settings)(x), settings))
        x = _norm(x, settings, "block_end")
    if not widths:
        x = RuntimeDropout("head_dropout")(x)
    return _apply(LAYERS.Dense(outputs, name="logits"), x)


def _dense(width: int, settings: Mapping[str, Any]) -> keras.layers.Layer:
    shared: dict[str, Any] = {"kernel_initializer": "he_normal"}
    if settings["max_norm"]:
        shared["kernel_constraint"] = keras.constraints.MaxNorm(settings["max_norm"])
    if "head_l2" in settings:
        return RuntimeDense(width, "head_l2", **shared)
    return LAYERS.Dense(width, **shared)


def _normalises(settings: Mapping[str, Any], place: str) -> bool:
    return bool(settings["batch_norm"]) and settings["norm_place"] == place


def _norm(x: Tensor, settings: Mapping[str, Any], place: str) -> Tensor:
    return _apply(LAYERS.BatchNormalization(momentum=0.9), x) if _normalises(settings, place) else x


def _activation(x: Tensor, settings: Mapping[str, Any]) -> Tensor:
    return _apply(LAYERS.Activation(settings["activation"]), x)


def _apply(layer: keras.layers.Layer, x: Tensor) -> Tensor:
    outputs: Tensor = layer(x)
    return outputs


def _can_halve(x: Tensor, settings: Mapping[str, Any]) -> bool:
    smallest = 1 if settings["stack"] else SMALLEST_SIDE
    return bool(min(x.shape[1:3]) >= 2 * smallest)
