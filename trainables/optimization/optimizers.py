"""Learning-rate schedule, optimizers and loss, as pure functions of arrays in Keras operations.

All weights of a model are one flat vector here: an optimizer is then a handful of operations whatever the
number of layers, its memory two vectors, and a reset two assignments. Every number of a recipe is an input,
so that a new trial runs the same compiled code. Imports keras at the top: only processes that train load this
file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from keras import ops

from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS, TECHNIQUES

if TYPE_CHECKING:
    from toprung.trainables.optimization.recipe import Recipe

Triple = tuple[Any, Any, Any]
LEVELS = 3.0  # of the step schedule: whole, a tenth, a hundredth


class RuntimeHyperparameters(NamedTuple):
    """The numbers of one trial that a compiled step reads, each a float32 scalar unless it says otherwise.

    `optimizer` is an int32. `first_share` is the share of the peak that the warmup starts from, `drops` into how many
    levels the rate falls (0: along a cosine), `momentum_dip` what the momentum loses at the peak. `class_weights`,
    (classes,), multiply the losses of a class's images (multi-label: of the label where it is 1); `switches`,
    (techniques,), and `picks` are the augmentation's.
    """

    optimizer: Any
    peak: Any
    first_share: Any
    warmup_steps: Any
    total_steps: Any
    final_share: Any
    drops: Any
    weight_decay: Any
    momentum: Any
    momentum_dip: Any
    label_smoothing: Any
    clip_norm: Any
    ema: Any
    picks: Any
    switches: Any
    class_weights: Any

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, total_steps: int, class_weights: Any = (1.0,)
    ) -> RuntimeHyperparameters:
        """As numpy arrays; `total_steps` is the length of the whole schedule."""
        is_cycle = recipe.schedule == "one_cycle"
        is_level = recipe.schedule in ("constant", "plateau")
        numbers = {
            "optimizer": np.asarray(OPTIMIZERS.index(recipe.optimizer), np.int32),
            "peak": recipe.learning_rate,
            "first_share": 1.0 / 25.0 if is_cycle else 0.0,
            "warmup_steps": recipe.warmup_share * total_steps,
            "total_steps": total_steps,
            "final_share": 1.0 if is_level else recipe.final_share,
            "drops": LEVELS if recipe.schedule == "step" else 0.0,
            "weight_decay": recipe.weight_decay,
            "momentum": recipe.momentum,
            "momentum_dip": min(0.1, recipe.momentum) if is_cycle else 0.0,
            "label_smoothing": recipe.label_smoothing,
            "clip_norm": recipe.clip_norm or math.inf,
            "ema": recipe.ema,
            "picks": recipe.augment_picks,
            "switches": [name in recipe.techniques for name in TECHNIQUES],
            "class_weights": class_weights,
        }
        return cls(**{name: np.asarray(value, _dtype(name)) for name, value in numbers.items()})

    @classmethod
    def signature(cls, classes: int) -> RuntimeHyperparameters:
        """The shapes and dtypes of the fields."""
        shapes = {"switches": (len(TECHNIQUES),), "class_weights": (classes,)}
        return cls(*(keras.KerasTensor(shapes.get(name, ()), _dtype(name)) for name in cls._fields))


def _dtype(name: str) -> str:
    return "int32" if name == "optimizer" else "float32"


class OptimizerState(NamedTuple):
    """What an optimizer updates: all weights and its two memories, float32 vectors of one length.

    `average` is the moving average of the weights, as long as they are; empty when none is kept.
    """

    weights: Any
    first: Any
    second: Any
    average: Any = np.zeros(0, np.float32)


def learning_rate(step: Any, hyper: RuntimeHyperparameters) -> Any:
    """The rate of step 0, 1, ...: linear warmup, then half a cosine (Loshchilov & Hutter 2017) or levels."""
    return hyper.peak * share_of_peak(step, hyper)


def share_of_peak(step: Any, hyper: RuntimeHyperparameters) -> Any:
    """The rate of a step as a share of the highest one."""
    done = ops.cast(step, "float32")
    warmup = ops.minimum((done + 1.0) / ops.maximum(hyper.warmup_steps, 1.0), 1.0)
    warmup = hyper.first_share + (1.0 - hyper.first_share) * warmup
    rest = ops.maximum(hyper.total_steps - hyper.warmup_steps, 1.0)
    progress = ops.clip((done - hyper.warmup_steps) / rest, 0.0, 1.0)
    cosine = 0.5 * (1.0 + ops.cos(math.pi * progress))
    level = ops.power(0.1, ops.floor(progress * hyper.drops))
    fall = ops.where(hyper.drops > 0.0, level, cosine)
    return warmup * (hyper.final_share + (1.0 - hyper.final_share) * fall)


def averaged(step: Any, moments: OptimizerState, hyper: RuntimeHyperparameters) -> OptimizerState:
    """The average moved towards the weights (Polyak & Juditsky 1992); as it was where none is kept.

    Its decay climbs to `ema` as (1 + step) / (10 + step), so that the first weights are soon forgotten.
    """
    if tuple(moments.average.shape) == (0,):
        return moments
    count = ops.cast(step, "float32")
    decay = ops.minimum(hyper.ema, (1.0 + count) / (10.0 + count))

    def moved() -> Any:
        return moments.average + (1.0 - decay) * (moments.weights - moments.average)

    return moments._replace(average=ops.cond(hyper.ema > 0.0, moved, lambda: moments.average))


def update(
    step: Any, gradient: Any, moments: OptimizerState, decayed: Any, hyper: RuntimeHyperparameters
) -> OptimizerState:
    """One optimizer step. `decayed`, as long as the weights, is 1 where weight decay applies, else 0."""
    norm = ops.sqrt(ops.sum(ops.square(gradient)))
    gradient = gradient * ops.minimum(hyper.clip_norm / norm, 1.0)
    share = share_of_peak(step, hyper)
    rate = hyper.peak * share
    hyper = hyper._replace(momentum=hyper.momentum - hyper.momentum_dip * share)
    decay = hyper.weight_decay * decayed * moments.weights
    count = ops.cast(step, "float32") + 1.0

    def adamw() -> Triple:
        weights, first, second = _adam(gradient, moments, rate, count, hyper.momentum)
        return weights - rate * decay, first, second

    def adam() -> Triple:
        return _adam(gradient + decay, moments, rate, count, hyper.momentum)

    def sgd() -> Triple:
        slope = gradient + decay
        first = hyper.momentum * moments.first + slope
        return moments.weights - rate * (slope + hyper.momentum * first), first, moments.second

    def rmsprop() -> Triple:
        slope = gradient + decay
        second = 0.9 * moments.second + 0.1 * ops.square(slope)
        first = hyper.momentum * moments.first + slope / (ops.sqrt(second) + 1e-7)
        return moments.weights - rate * first, first, second

    def lion() -> Triple:
        direction = ops.sign(hyper.momentum * moments.first + (1.0 - hyper.momentum) * gradient)
        first = 0.99 * moments.first + 0.01 * gradient
        return moments.weights - rate * (direction + decay), first, moments.second

    branches = {"adamw": adamw, "adam": adam, "sgd": sgd, "rmsprop": rmsprop, "lion": lion}
    weights, first, second = ops.switch(hyper.optimizer, [branches[name] for name in OPTIMIZERS])
    return OptimizerState(weights, first, second, moments.average)


def _adam(gradient: Any, moments: OptimizerState, rate: Any, count: Any, beta: Any) -> Triple:
    """Adam (Kingma & Ba 2015): `beta` is beta_1, beta_2 is 0.999, `count` is t."""
    first = beta * moments.first + (1.0 - beta) * gradient
    second = 0.999 * moments.second + 0.001 * ops.square(gradient)
    unbiased = first / (1.0 - ops.power(beta, count))
    spread = ops.sqrt(second / (1.0 - ops.power(0.999, count))) + 1e-8
    return moments.weights - rate * unbiased / spread, first, second
