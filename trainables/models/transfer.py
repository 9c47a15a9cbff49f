"""The transfer family: a pretrained network, a new head, and fine-tuning in phases.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from toprung.spaces.families import transfer
from toprung.trainables.models.layers import InferenceOnly, RuntimeDropout
from toprung.trainables.models.phases import FrozenBoundary, Phase, consecutive_phases
from toprung.trainables.models.pretrained import backbone, preprocess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.spaces.definition.trial import OptunaTrial
    from toprung.trainables.task.task import Task

LAYERS = keras.layers


def head_recipe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is special in the training of the head alone: a logistic regression by Adam, whatever tunes the network."""
    if not settings["head_rate"]:
        return {}
    return {
        "optimizer": "adam",
        "momentum": 0.9,
        "learning_rate": settings["head_rate"],
        "schedule": "cosine",
        "weight_decay": settings["head_l2"],
        "label_smoothing": 0.0,
    }


def _input_size(settings: Mapping[str, Any], image_size: tuple[int, int]) -> tuple[int, int]:
    """The height and width that the pretrained network sees: `input_size` squared, or the images' own, enlarged."""
    if settings["input_size"]:
        return settings["input_size"], settings["input_size"]
    factor = max(1.0, settings["min_input_size"] / min(image_size))
    height, width = (round(factor * side) for side in image_size)
    return height, width


class TransferFamily:
    """A network of `keras.applications` under a head of up to two dense layers (Yosinski et al. 2014).

    `spaces.families.transfer` explains each key; its `DEFAULTS` are the values of keys that a configuration lacks. A
    pretrained network stays in inference mode: its batch norms keep their statistics, also where their scales are
    trained. A network without weights trains as a whole from the first epoch on.
    """

    dynamic = frozenset(
        {
            "head_dropout",
            "head_epochs",
            "top_epochs",
            "top_share",
            "top_rate",
            "deep_share",
            "deep_rate",
            "cache_features",
            "head_passes",
            "head_rate",
            "head_l2",
            "depth_decay",
        }
    )

    def space(self, trial: OptunaTrial) -> dict[str, Any]:
        """Draw a network, its phases, its augmentation and its training recipe."""
        return transfer.space(trial)

    def build(self, config: Mapping[str, Any], task: Task) -> keras.Model:
        """A functional model from images with values 0 to 255, grey or RGB, to the task's logits."""
        settings = {**transfer.DEFAULTS, **config}
        inputs = keras.Input(task.image_shape)
        x = LAYERS.Concatenate()([inputs] * 3) if task.image_shape[-1] == 1 else inputs
        size = _input_size(settings, task.image_shape[:2])
        if size != task.image_shape[:2]:
            x = LAYERS.Resizing(*size, name="resized")(x)
        body = backbone(settings, tuple(x.shape[1:]))
        x = preprocess(settings["backbone"], x)
        x = body(x) if settings["weights"] == "none" else InferenceOnly(body, name="pretrained")(x)
        x = LAYERS.GlobalAveragePooling2D(name="features")(x)
        widths = [settings[name] for name in ("dense_units", "dense_units_2") if settings[name]]
        for width in widths:
            x = LAYERS.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
        x = RuntimeDropout("head_dropout")(x)
        # A regression begins at zero: in the directions that few images leave open, random weights would stay as noise.
        start = "glorot_uniform" if widths or settings["weights"] == "none" else "zeros"
        return keras.Model(inputs, LAYERS.Dense(task.outputs, kernel_initializer=start, name="logits")(x))

    def pretrained(self, model: keras.Model) -> list[InferenceOnly]:
        """The layers that start from loaded weights."""
        return [layer for layer in model.layers if isinstance(layer, InferenceOnly)]

    def phases(self, config: Mapping[str, Any], max_epochs: int) -> tuple[Phase, ...]:
        """The head alone, then the top share, then a deeper share; one phase for a network without weights."""
        settings = {**transfer.DEFAULTS, **config}
        if settings["weights"] == "none":
            return (Phase(1, max_epochs),)
        decay = settings["depth_decay"]
        head = Phase(
            1,
            settings["head_epochs"],
            open_share=0.0,
            augmented=not settings["cache_features"],
            passes=settings["head_passes"],
            recipe=head_recipe(settings),
        )
        top = Phase(1, settings["top_epochs"], settings["top_share"], settings["top_rate"], depth_decay=decay)
        deep = Phase(1, max_epochs, settings["deep_share"], settings["deep_rate"], depth_decay=decay)
        return consecutive_phases((head, top, deep), max_epochs)

    def frozen(self, model: keras.Model, config: Mapping[str, Any]) -> FrozenBoundary | None:
        """The end of the pretrained network, which does not change while the head alone trains."""
        settings = {**transfer.DEFAULTS, **config}
        if settings["weights"] == "none":
            return None
        key = tuple(
            settings[name] for name in ("backbone", "alpha", "weights", "input_size", "min_input_size")
        )
        return FrozenBoundary(model.get_layer("features").output, key)

    def depths(self, model: keras.Model) -> dict[int, float]:
        """The depth of each pretrained variable by its `id`: the share of the pretrained layers above and with its own.

        Layers without weights do not count. The head's variables have depth 0 and are left out.
        """
        bodies = [layer.body for layer in self.pretrained(model)]
        layers = [layer for body in bodies for layer in body.layers if layer.weights]
        return {
            id(variable): (len(layers) - index) / len(layers)
            for index, layer in enumerate(layers)
            for variable in layer.variables
        }
