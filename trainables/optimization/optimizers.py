"""Optimizers as pure functions of tensors.

All weights of a model are one flat vector here: an optimizer is then a handful of operations whatever the number of
layers, its memory two vectors, and a reset two assignments.

An optimizer is one function marked with `update_rule`; its name stands in `OPTIMIZERS` of the recipe's vocabulary.
Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS
from toprung.trainables.backend.operations import ops
from toprung.trainables.optimization.schedule import share_of_peak

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Scalar, Tensor
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters


class OptimizerState(NamedTuple):
    """What an optimizer updates: float32 vectors (weights,).

    `first_moment` and `second_moment` are the optimizer's memory, zeros before the first step. `average` is the moving
    average of the weights; of shape (0,) when none is kept.
    """

    weights: Tensor
    first_moment: Tensor
    second_moment: Tensor
    average: Tensor = np.zeros(0, np.float32)


class UpdateInputs(NamedTuple):
    """What an update rule reads beside the state, each a vector (weights,) or a scalar, float32.

    gradient: g in the papers, clipped.
    decay: the weight decay times each weight that decays, 0 for the others.
    rate: the learning rate of the step.
    momentum: beta or beta_1 in the papers.
    number: t in the papers, 1 at the first step.
    """

    gradient: Tensor
    decay: Tensor
    rate: Tensor
    momentum: Tensor
    number: Tensor


Updated = tuple["Tensor", "Tensor", "Tensor"]
"""New weights, first moment and second moment."""
UpdateRule = Callable[[OptimizerState, UpdateInputs], Updated]
UPDATE_RULES: dict[str, UpdateRule] = {}


def update_rule(rule: UpdateRule) -> UpdateRule:
    """Register a function as the optimizer of its name."""
    UPDATE_RULES[rule.__name__] = rule
    return rule


@update_rule
def adamw(state: OptimizerState, inputs: UpdateInputs) -> Updated:
    """AdamW (Loshchilov & Hutter 2019): Adam with decoupled weight decay."""
    weights, first, second = _adam(inputs.gradient, state, inputs)
    return weights - inputs.rate * inputs.decay, first, second


@update_rule
def adam(state: OptimizerState, inputs: UpdateInputs) -> Updated:
    """Adam (Kingma & Ba 2015) with L2 decay."""
    return _adam(inputs.gradient + inputs.decay, state, inputs)


@update_rule
def sgd(state: OptimizerState, inputs: UpdateInputs) -> Updated:
    """Stochastic gradient descent with Nesterov momentum (Sutskever et al. 2013) and L2 decay."""
    gradient = inputs.gradient + inputs.decay
    first = inputs.momentum * state.first_moment + gradient
    return state.weights - inputs.rate * (gradient + inputs.momentum * first), first, state.second_moment


@update_rule
def rmsprop(state: OptimizerState, inputs: UpdateInputs) -> Updated:
    """RMSprop (Tieleman & Hinton 2012), rho 0.9, with momentum and L2 decay."""
    gradient = inputs.gradient + inputs.decay
    second = 0.9 * state.second_moment + 0.1 * ops.square(gradient)
    first = inputs.momentum * state.first_moment + gradient / (ops.sqrt(second) + 1e-7)
    return state.weights - inputs.rate * first, first, second


@update_rule
def lion(state: OptimizerState, inputs: UpdateInputs) -> Updated:
    """Lion (Chen et al. 2023): `momentum` is beta_1, beta_2 is 0.99; decoupled weight decay."""
    direction = ops.sign(inputs.momentum * state.first_moment + (1.0 - inputs.momentum) * inputs.gradient)
    first = 0.99 * state.first_moment + 0.01 * inputs.gradient
    return state.weights - inputs.rate * (direction + inputs.decay), first, state.second_moment


def _adam(gradient: Tensor, state: OptimizerState, inputs: UpdateInputs) -> Updated:
    """Adam's step: `momentum` is beta_1, beta_2 is 0.999, `number` is t, epsilon 1e-8."""
    first = inputs.momentum * state.first_moment + (1.0 - inputs.momentum) * gradient
    second = 0.999 * state.second_moment + 0.001 * ops.square(gradient)
    unbiased = first / (1.0 - ops.power(inputs.momentum, inputs.number))
    spread = ops.sqrt(second / (1.0 - ops.power(0.999, inputs.number))) + 1e-8
    return state.weights - inputs.rate * unbiased / spread, first, second


def update(
    step: Scalar,
    gradient: Tensor,
    state: OptimizerState,
    decays: Tensor,
    hyperparameters: RuntimeHyperparameters,
) -> OptimizerState:
    """One step of the optimizer that the hyperparameters name.

    Args:
        step: How many steps were made before.
        gradient: Float32 (weights,), before clipping.
        state: The state before the step; its `average` is returned unchanged.
        decays: Float32 (weights,), 1 for each weight that decays, else 0.
        hyperparameters: Those of the trial.
    """
    norm = ops.sqrt(ops.sum(ops.square(gradient)))
    gradient = gradient * ops.minimum(hyperparameters.clip_norm / norm, 1.0)
    share = share_of_peak(step, hyperparameters)
    inputs = UpdateInputs(
        gradient=gradient,
        decay=hyperparameters.weight_decay * decays * state.weights,
        rate=hyperparameters.peak_rate * share,
        momentum=hyperparameters.momentum - hyperparameters.momentum_dip * share,
        number=ops.cast(step, "float32") + 1.0,
    )
    branches = [partial(UPDATE_RULES[name], state, inputs) for name in OPTIMIZERS]
    weights, first, second = ops.switch(hyperparameters.optimizer, branches)
    return OptimizerState(weights, first, second, state.average)


def update_average(
    step: Scalar, state: OptimizerState, hyperparameters: RuntimeHyperparameters
) -> OptimizerState:
    """Move the average of the weights towards them (Polyak & Juditsky 1992); nothing where none is kept.

    Its decay climbs to `ema` as (1 + step) / (10 + step), so that the first weights are soon forgotten.
    """
    if tuple(state.average.shape) == (0,):
        return state
    count = ops.cast(step, "float32")
    decay = ops.minimum(hyperparameters.ema, (1.0 + count) / (10.0 + count))

    def moved() -> Tensor:
        return state.average + (1.0 - decay) * (state.weights - state.average)

    return state._replace(average=ops.cond(hyperparameters.ema > 0.0, moved, lambda: state.average))
