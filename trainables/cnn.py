"""The CNN family: blocks of convolutions, then a small head.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from spaces import cnn
from trainables.layers import DialledDropout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.task import Task

LAYERS = keras.layers
SMALLEST_SIDE = 4


class CnnFamily:
    """VGG-style networks (Simonyan & Zisserman 2015) with batch norm, dropout and a choice of heads."""

    dynamic = frozenset({"dropout", "head_dropout"})

    def space(self, trial: Any) -> dict[str, Any]:
        """Draw an architecture, its augmentation and its training recipe."""
        return cnn.space(trial)

    def build(self, config: Mapping[str, Any], task: Task) -> keras.Model:
        """A functional model from images with values 0 to 255 to one logit a class.

        A block halves its input while both sides stay at least 4 pixels afterwards, so that deep
        configurations stay valid on small images.
        """
        inputs = keras.Input(task.image_shape)
        x = LAYERS.Rescaling(1.0 / 127.5, offset=-1.0)(inputs)
        for index in range(config["blocks"]):
            x = _block(x, config, round(config["filters"] * config["filter_growth"] ** index))
        return keras.Model(inputs, _head(x, config, len(task.classes)))


def _block(x: Any, config: Mapping[str, Any], filters: int) -> Any:
    norm = config["batch_norm"]
    for _ in range(config["convs_per_block"]):
        x = LAYERS.Conv2D(
            filters, config["kernel_size"], padding="same", use_bias=not norm, kernel_initializer="he_normal"
        )(x)
        if norm:
            x = LAYERS.BatchNormalization(momentum=0.9)(x)
        x = LAYERS.Activation("relu")(x)
    if min(x.shape[1:3]) >= 2 * SMALLEST_SIDE:
        pooling = LAYERS.MaxPooling2D if config["pooling"] == "max" else LAYERS.AveragePooling2D
        x = pooling(2)(x)
    return DialledDropout("dropout", whole_channels=True)(x)


def _head(x: Any, config: Mapping[str, Any], classes: int) -> Any:
    x = LAYERS.Flatten()(x) if config["head"] == "flatten" else LAYERS.GlobalAveragePooling2D()(x)
    if config["dense_units"]:
        x = LAYERS.Dense(config["dense_units"], activation="relu", kernel_initializer="he_normal")(x)
    x = DialledDropout("head_dropout")(x)
    return LAYERS.Dense(classes, name="logits")(x)
