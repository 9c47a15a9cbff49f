"""The transfer family: a network trained before, a new head, and fine-tuning in phases.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from toprung.spaces.families import transfer
from toprung.trainables.models.layers import InferenceOnly, RuntimeDropout
from toprung.trainables.models.phases import FrozenBoundary, Phase, consecutive_phases
from toprung.trainables.models.pretrained import backbone, preprocessed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.task.task import Task

LAYERS = keras.layers


class TransferFamily:
    """`keras.applications` behind a head of up to two dense layers (Yosinski et al. 2014).

    Each key is explained in `spaces.transfer`; one that a configuration lacks has its value in
    `spaces.transfer.DEFAULTS`. A pretrained network runs in inference mode throughout: its batch norms keep the
    statistics they came with, also where their scales are trained. One without weights trains whole from the
    first epoch on.
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
        }
    )

    def space(self, trial: Any) -> dict[str, Any]:
        """Draw a network, its phases, its augmentation and its training recipe."""
        return transfer.space(trial)

    def build(self, config: Mapping[str, Any], task: Task) -> keras.Model:
        """A functional model from images with values 0 to 255, grey or RGB, to the task's logits."""
        chosen = {**transfer.DEFAULTS, **config}
        inputs = keras.Input(task.image_shape)
        x = LAYERS.Concatenate()([inputs] * 3) if task.image_shape[-1] == 1 else inputs
        if chosen["input_size"]:
            x = LAYERS.Resizing(chosen["input_size"], chosen["input_size"], name="resized")(x)
        body = backbone(chosen, tuple(x.shape[1:]))
        x = preprocessed(chosen["backbone"], x)
        x = body(x) if chosen["weights"] == "none" else InferenceOnly(body, name="pretrained")(x)
        x = LAYERS.GlobalAveragePooling2D(name="features")(x)
        for width in (chosen["dense_units"], chosen["dense_units_2"]):
            if width:
                x = LAYERS.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
        x = RuntimeDropout("head_dropout")(x)
        return keras.Model(inputs, LAYERS.Dense(task.outputs, name="logits")(x))

    def pretrained(self, model: keras.Model) -> list[InferenceOnly]:
        """The layers that start from the weights they were loaded with."""
        return [layer for layer in model.layers if isinstance(layer, InferenceOnly)]

    def phases(self, config: Mapping[str, Any], max_epochs: int) -> tuple[Phase, ...]:
        """Head alone, the top share, a deeper share; all at once where nothing was trained before."""
        chosen = {**transfer.DEFAULTS, **config}
        if chosen["weights"] == "none":
            return (Phase(1, max_epochs),)
        parts = [
            (chosen["head_epochs"], 0.0, 1.0),
            (chosen["top_epochs"], chosen["top_share"], chosen["top_rate"]),
            (max_epochs, chosen["deep_share"], chosen["deep_rate"]),
        ]
        phases = consecutive_phases(parts, max_epochs)
        as_they_are = chosen["cache_features"]
        return tuple(replace(p, augmented=not (as_they_are and p.open_share == 0.0)) for p in phases)

    def frozen(self, model: keras.Model, config: Mapping[str, Any]) -> FrozenBoundary | None:
        """The pretrained network and what is before it; its weights are those it came with while the head learns."""
        chosen = {**transfer.DEFAULTS, **config}
        if chosen["weights"] == "none":
            return None
        key = tuple(chosen[name] for name in ("backbone", "alpha", "weights", "input_size"))
        return FrozenBoundary(model.get_layer("features").output, key)

    def depths(self, model: keras.Model) -> dict[int, float]:
        """By `id` of each pretrained variable: the share of the pretrained layers it takes to reach its own.

        Layers without weights do not count. The head's variables have depth 0 and are left out.
        """
        bodies = [layer.body for layer in self.pretrained(model)]
        layers = [layer for body in bodies for layer in body.layers if layer.weights]
        return {
            id(variable): (len(layers) - index) / len(layers)
            for index, layer in enumerate(layers)
            for variable in layer.variables
        }
