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

    from toprung.spaces.families.cnn_blocks import Block
    from toprung.trainables.task.task import Task

LAYERS = keras.layers
SMALLEST_SIDE = 4


# Below this many channels a depthwise convolution has nothing to separate.
SEPARABLE_CHANNELS = 8


class CnnFamily:
    """Plain (Simonyan & Zisserman 2015), residual (He et al. 2016) or depthwise-separable (Chollet 2017) blocks.

    Each key is explained in `spaces.cnn`; one that a configuration lacks has its value in `spaces.cnn.DEFAULTS`.
    """

    dynamic = frozenset({"dropout", "dropout_step", "head_dropout", "head_l2"})

    def space(self, trial: Any) -> dict[str, Any]:
        """Draw an architecture, its augmentation and its training recipe."""
        return cnn.space(trial)

    def build(self, config: Mapping[str, Any], task: Task) -> keras.Model:
        """A functional model from images with values 0 to 255 to the task's logits.

        A block halves its input while both sides stay at least 4 pixels afterwards, so that deep
        configurations stay valid on small images; the blocks of a `stack` halve theirs whenever they can.
        """
        chosen = {**cnn.DEFAULTS, **config}
        inputs = keras.Input(task.image_shape)
        signed = chosen["pixel_range"] == "signed"
        scale, offset = (1.0 / 127.5, -1.0) if signed else (1.0 / 255.0, 0.0)
        x = LAYERS.Rescaling(scale, offset=offset)(inputs)
        for index, block in enumerate(blocks_of(chosen)):
            x = _block(x, chosen, block, index)
        return keras.Model(inputs, _head(x, chosen, task.outputs))


def _block(x: Any, chosen: Mapping[str, Any], block: Block, index: int) -> Any:
    start, residual = x, chosen["block_type"] == "residual"
    strided = chosen["pooling"] == "strided"
    stride = 1
    for number in range(block.convs):
        last = number == block.convs - 1
        stride = 2 if last and strided and block.reduces and _can_halve(x, chosen) else 1
        x = _conv(x, chosen, block.filters, stride)
        x = _norm(x, chosen, "conv")
        if not (residual and last):
            x = _activation(x, chosen)
    if residual:
        x = _activation(LAYERS.Add()([x, _shortcut(start, chosen, block.filters, stride)]), chosen)
    if block.reduces and not strided and _can_halve(x, chosen):
        x = (LAYERS.MaxPooling2D if chosen["pooling"] == "max" else LAYERS.AveragePooling2D)(2)(x)
    x = RuntimeDropout("dropout", whole_channels=True, steps=index)(x)
    return _norm(x, chosen, "block_end")


def _conv(x: Any, chosen: Mapping[str, Any], filters: int, stride: int) -> Any:
    size, channels = chosen["kernel_size"], x.shape[-1]
    # Without borders a sum with the block's input has two sizes, and a kernel may be wider than what is left.
    unpadded = (
        chosen["padding"] == "valid" and chosen["block_type"] != "residual" and min(x.shape[1:3]) >= size
    )
    shared: dict[str, Any] = {
        "strides": stride,
        "padding": "valid" if unpadded else "same",
        "use_bias": not _normalises(chosen, "conv"),
    }
    if chosen["block_type"] == "separable" and channels >= SEPARABLE_CHANNELS:
        # Keras counts a depthwise kernel's inputs over all channels; each output sees one.
        depthwise = keras.initializers.VarianceScaling(float(channels), mode="fan_in")
        return LAYERS.SeparableConv2D(
            filters,
            size,
            depthwise_initializer=depthwise,
            pointwise_initializer="he_normal",
            depthwise_constraint=_filter_norm(chosen, [0, 1]),
            pointwise_constraint=_filter_norm(chosen, [0, 1, 2]),
            **shared,
        )(x)
    bound = _filter_norm(chosen, [0, 1, 2])
    return LAYERS.Conv2D(filters, size, kernel_initializer="he_normal", kernel_constraint=bound, **shared)(x)


def _filter_norm(chosen: Mapping[str, Any], axis: list[int]) -> Any:
    """The bound on the length of each filter, None for no bound; `axis` are those that one filter runs over."""
    return keras.constraints.MaxNorm(chosen["conv_max_norm"], axis=axis) if chosen["conv_max_norm"] else None


def _shortcut(x: Any, chosen: Mapping[str, Any], filters: int, stride: int) -> Any:
    """The block's input, projected where its shape differs from the block's output."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    x = LAYERS.Conv2D(
        filters,
        1,
        strides=stride,
        use_bias=not _normalises(chosen, "conv"),
        kernel_initializer="he_normal",
        kernel_constraint=_filter_norm(chosen, [0, 1, 2]),
    )(x)
    return _norm(x, chosen, "conv")


def _head(x: Any, chosen: Mapping[str, Any], outputs: int) -> Any:
    x = LAYERS.Flatten()(x) if chosen["head"] == "flatten" else LAYERS.GlobalAveragePooling2D()(x)
    widths = [width for width in (chosen["dense_units"], chosen["dense_units_2"]) if width]
    for width in widths:
        x = RuntimeDropout("head_dropout")(_activation(_dense(width, chosen)(x), chosen))
        x = _norm(x, chosen, "block_end")
    if not widths:
        x = RuntimeDropout("head_dropout")(x)
    return LAYERS.Dense(outputs, name="logits")(x)


def _dense(width: int, chosen: Mapping[str, Any]) -> keras.layers.Layer:
    shared: dict[str, Any] = {"kernel_initializer": "he_normal"}
    if chosen["max_norm"]:
        shared["kernel_constraint"] = keras.constraints.MaxNorm(chosen["max_norm"])
    if "head_l2" in chosen:
        return RuntimeDense(width, "head_l2", **shared)
    return LAYERS.Dense(width, **shared)


def _normalises(chosen: Mapping[str, Any], place: str) -> bool:
    return bool(chosen["batch_norm"]) and chosen["norm_place"] == place


def _norm(x: Any, chosen: Mapping[str, Any], place: str) -> Any:
    return LAYERS.BatchNormalization(momentum=0.9)(x) if _normalises(chosen, place) else x


def _activation(x: Any, chosen: Mapping[str, Any]) -> Any:
    return LAYERS.Activation(chosen["activation"])(x)


def _can_halve(x: Any, chosen: Mapping[str, Any]) -> bool:
    smallest = 1 if chosen["stack"] else SMALLEST_SIDE
    return bool(min(x.shape[1:3]) >= 2 * smallest)
