"""The hyperparameters of one trial as arrays: inputs of the compiled step, so that a new trial needs no new trace.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS, TECHNIQUES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from toprung.trainables.backend.tensors import Tensor
    from toprung.trainables.optimization.recipe import Recipe

STEP_LEVELS = 3.0  # of the step schedule: the peak, a tenth and a hundredth of it


class RuntimeHyperparameters(NamedTuple):
    """The numbers of one trial that a compiled step reads, each a float32 scalar unless stated otherwise.

    optimizer: int32, the position of the optimizer's name in `OPTIMIZERS`.
    peak_rate: the highest learning rate.
    first_share: the share of the peak at which the warmup starts.
    warmup_steps, total_steps: the lengths of the warmup and of the whole schedule.
    final_share: the share of the peak at which the schedule ends.
    levels: how many levels the learning rate falls through; 0 for a cosine.
    momentum_dip: what the momentum loses at the peak of the learning rate.
    ema: the decay of the average of the weights; 0 for no average.
    augment_picks: how many techniques each image gets; 0 for all that are on.
    augment_switches: (techniques,), 1 for each technique of `TECHNIQUES` that is on.
    class_weights: (classes,), factors of the losses of a class's images (multi-label: of the labels that are 1).
    """

    optimizer: Tensor
    peak_rate: Tensor
    first_share: Tensor
    warmup_steps: Tensor
    total_steps: Tensor
    final_share: Tensor
    levels: Tensor
    weight_decay: Tensor
    momentum: Tensor
    momentum_dip: Tensor
    label_smoothing: Tensor
    clip_norm: Tensor
    ema: Tensor
    augment_picks: Tensor
    augment_switches: Tensor
    class_weights: Tensor

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, total_steps: int, class_weights: ArrayLike = (1.0,)
    ) -> RuntimeHyperparameters:
        """The recipe's numbers as NumPy arrays; `total_steps` is the length of the whole schedule."""
        is_cycle = recipe.schedule == "one_cycle"
        is_level = recipe.schedule in ("constant", "plateau")
        numbers: dict[str, ArrayLike] = {
            "optimizer": OPTIMIZERS.index(recipe.optimizer),
            "peak_rate": recipe.learning_rate,
            "first_share": 1.0 / 25.0 if is_cycle else 0.0,
            "warmup_steps": recipe.warmup_share * total_steps,
            "total_steps": total_steps,
            "final_share": 1.0 if is_level else recipe.final_share,
            "levels": STEP_LEVELS if recipe.schedule == "step" else 0.0,
            "weight_decay": recipe.weight_decay,
            "momentum": recipe.momentum,
            "momentum_dip": min(0.1, recipe.momentum) if is_cycle else 0.0,
            "label_smoothing": recipe.label_smoothing,
            "clip_norm": recipe.clip_norm or math.inf,
            "ema": recipe.ema,
            "augment_picks": recipe.augment_picks,
            "augment_switches": [name in recipe.techniques for name in TECHNIQUES],
            "class_weights": class_weights,
        }
        return cls(**{name: np.asarray(value, _dtype(name)) for name, value in numbers.items()})

    @classmethod
    def signature(cls, classes: int) -> RuntimeHyperparameters:
        """The shapes and dtypes of the fields, as KerasTensors."""
        shapes = {"augment_switches": (len(TECHNIQUES),), "class_weights": (classes,)}
        return cls(*(keras.KerasTensor(shapes.get(name, ()), _dtype(name)) for name in cls._fields))


def _dtype(name: str) -> str:
    return "int32" if name == "optimizer" else "float32"
