"""Which hyperparameters matter, also after early stopping: one model of configuration and epoch, asked at the rungs.

Completed trials alone are few, and a selection: on the development tasks of LCBench their fANOVA ranks the parameters
no better than chance (`tests/benchmarks/importance.py`). Here a model learns from the results of all trials at all
rungs (`joint_model.py`), and its predictions over the whole space are taken apart (`sobol.py`). The indices of all
rungs are averaged: what matters at the last epoch is nearly what matters before, and the model knows more there. On
both halves of the development tasks the mean ranks the parameters nearer to the truth at the last epoch than the
indices at that epoch do, at 40 and at 120 trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.results.analysis.importance.joint_model import JointModel, RungResults
from toprung.results.analysis.importance.sobol import ParameterImportance, sobol_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.results.analysis.importance.parameter import Parameter

FEWEST_TRIALS = 12
LEAST_R2 = (
    0.2  # on the development tasks, rankings of models below it agreed with the truth no better than chance
)


@dataclass(frozen=True)
class Importance:
    """How much each parameter matters, most first.

    Attributes:
        parameters: Empty where the model cannot tell.
        r2: How much of the variance the model explains in trials that it has not seen; NaN with too few trials.
        trials: The number of trials that it has learnt from.
        reason: Why the model cannot tell; empty where it can.
    """

    parameters: tuple[ParameterImportance, ...]
    r2: float
    trials: int
    reason: str = ""


def importance(
    parameters: Sequence[Parameter], results: RungResults, max_epochs: int, seed: int = 0
) -> tuple[Importance, JointModel | None]:
    """How much each parameter matters up to the last epoch, and the model that says so; None where it cannot tell."""
    trials = len(np.unique(results.trials))
    if not parameters:
        return Importance((), math.nan, trials, "the space leaves no choice"), None
    if trials < FEWEST_TRIALS:
        reason = f"fewer than {FEWEST_TRIALS} trials have results ({trials})"
        return Importance((), math.nan, trials, reason), None
    if np.ptp(results.values) == 0.0:
        return Importance((), 0.0, trials, "all values are equal"), None
    model = JointModel(parameters, results, seed)
    r2 = model.r2()
    if r2 < LEAST_R2:
        reason = f"the model explains {max(0.0, r2):.0%} of the differences between trials it has not seen"
        return Importance((), r2, trials, reason), None
    epochs = sorted({*results.epochs.tolist(), max_epochs})
    found = sobol_indices(model, epochs, seed)
    return Importance(tuple(sorted(found, key=lambda one: -one.index)), r2, trials), model
