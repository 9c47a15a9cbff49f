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

from trainables.recipe import OPTIMIZERS

if TYPE_CHECKING:
    from trainables.recipe import Recipe


class Hyper(NamedTuple):
    """The numbers of one trial that a compiled step reads, each a float32 scalar (`optimizer` an int32)."""

    optimizer: Any
    peak: Any
    warmup_steps: Any
    total_steps: Any
    final_share: Any
    weight_decay: Any
    momentum: Any
    label_smoothing: Any
    clip_norm: Any

    @classmethod
    def from_recipe(cls, recipe: Recipe, total_steps: int) -> Hyper:
        """As numpy scalars; `total_steps` is the length of the whole schedule."""
        numbers = (
            recipe.learning_rate,
            recipe.warmup_share * total_steps,
            total_steps,
            recipe.final_share,
            recipe.weight_decay,
            recipe.momentum,
            recipe.label_smoothing,
            recipe.clip_norm,
        )
        kind = np.asarray(OPTIMIZERS.index(recipe.optimizer), np.int32)
        return cls(kind, *(np.asarray(number, np.float32) for number in numbers))

    @classmethod
    def signature(cls) -> Hyper:
        """The shapes and dtypes of the fields."""
        numbers = [keras.KerasTensor((), "float32")] * (len(cls._fields) - 1)
        return cls(keras.KerasTensor((), "int32"), *numbers)


class Moments(NamedTuple):
    """What an optimizer updates: all weights and its two memories, float32 vectors of one length."""

    weights: Any
    first: Any
    second: Any


def learning_rate(step: Any, hyper: Hyper) -> Any:
    """The rate of step 0, 1, ...: linear warmup, then half a cosine (Loshchilov & Hutter 2017)."""
    done = ops.cast(step, "float32")
    warmup = ops.minimum((done + 1.0) / ops.maximum(hyper.warmup_steps, 1.0), 1.0)
    rest = ops.maximum(hyper.total_steps - hyper.warmup_steps, 1.0)
    progress = ops.clip((done - hyper.warmup_steps) / rest, 0.0, 1.0)
    cosine = 0.5 * (1.0 + ops.cos(math.pi * progress))
    return hyper.peak * warmup * (hyper.final_share + (1.0 - hyper.final_share) * cosine)


def cross_entropy(logits: Any, labels: Any, label_smoothing: Any) -> Any:
    """Loss of each example, float32 (batch,); smoothing as in Szegedy et al. 2016 with epsilon in [0, 1)."""
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    target = ops.one_hot(labels, log_probabilities.shape[-1], dtype="float32")
    hit = ops.sum(target * log_probabilities, axis=-1)
    return -(1.0 - label_smoothing) * hit - label_smoothing * ops.mean(log_probabilities, axis=-1)


def update(step: Any, gradient: Any, moments: Moments, decayed: Any, hyper: Hyper) -> Moments:
    """One optimizer step. `decayed`, as long as the weights, is 1 where weight decay applies, else 0."""
    norm = ops.sqrt(ops.sum(ops.square(gradient)))
    gradient = gradient * ops.minimum(hyper.clip_norm / norm, 1.0)
    rate = learning_rate(step, hyper)
    decay = hyper.weight_decay * decayed * moments.weights
    count = ops.cast(step, "float32") + 1.0

    def adamw() -> Moments:
        weights, first, second = _adam(gradient, moments, rate, count, hyper.momentum)
        return Moments(weights - rate * decay, first, second)

    def adam() -> Moments:
        return _adam(gradient + decay, moments, rate, count, hyper.momentum)

    def sgd() -> Moments:
        slope = gradient + decay
        first = hyper.momentum * moments.first + slope
        return Moments(moments.weights - rate * (slope + hyper.momentum * first), first, moments.second)

    def rmsprop() -> Moments:
        slope = gradient + decay
        second = 0.9 * moments.second + 0.1 * ops.square(slope)
        first = hyper.momentum * moments.first + slope / (ops.sqrt(second) + 1e-7)
        return Moments(moments.weights - rate * first, first, second)

    def lion() -> Moments:
        direction = ops.sign(hyper.momentum * moments.first + (1.0 - hyper.momentum) * gradient)
        first = 0.99 * moments.first + 0.01 * gradient
        return Moments(moments.weights - rate * (direction + decay), first, moments.second)

    branches = {"adamw": adamw, "adam": adam, "sgd": sgd, "rmsprop": rmsprop, "lion": lion}
    return Moments(*ops.switch(hyper.optimizer, [branches[name] for name in OPTIMIZERS]))


def _adam(gradient: Any, moments: Moments, rate: Any, count: Any, beta: Any) -> Moments:
    """Adam (Kingma & Ba 2015): `beta` is beta_1, beta_2 is 0.999, `count` is t."""
    first = beta * moments.first + (1.0 - beta) * gradient
    second = 0.999 * moments.second + 0.001 * ops.square(gradient)
    unbiased = first / (1.0 - ops.power(beta, count))
    spread = ops.sqrt(second / (1.0 - ops.power(0.999, count))) + 1e-8
    return Moments(moments.weights - rate * unbiased / spread, first, second)
