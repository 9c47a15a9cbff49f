"""The learning rate of each step, as a function of the hyperparameters.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Scalar, Tensor
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters


def learning_rate(step: Scalar, hyperparameters: RuntimeHyperparameters) -> Tensor:
    """The learning rate of step 0, 1, ...: linear warmup, then half a cosine (Loshchilov & Hutter 2017) or levels."""
    return hyperparameters.peak_rate * share_of_peak(step, hyperparameters)


def share_of_peak(step: Scalar, hyperparameters: RuntimeHyperparameters) -> Tensor:
    """The learning rate of a step as a share of the highest one."""
    given = hyperparameters
    done = ops.cast(step, "float32")
    warmup = ops.minimum((done + 1.0) / ops.maximum(given.warmup_steps, 1.0), 1.0)
    warmup = given.first_share + (1.0 - given.first_share) * warmup
    rest = ops.maximum(given.total_steps - given.warmup_steps, 1.0)
    progress = ops.clip((done - given.warmup_steps) / rest, 0.0, 1.0)
    cosine = 0.5 * (1.0 + ops.cos(math.pi * progress))
    level = ops.power(0.1, ops.floor(progress * given.levels))
    fall = ops.where(given.levels > 0.0, level, cosine)
    return warmup * (given.final_share + (1.0 - given.final_share) * fall)
