"""Values and Optuna distributions: whether one allows a value, and a value from a unit number."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ON_STEP = 1e-8  # steps that a number may lie beside its step: 0.3 / 0.1 is no whole number of floats


@lru_cache(maxsize=1024)
def shared_distributions(
    distributions: tuple[tuple[str, BaseDistribution], ...],
) -> Mapping[str, BaseDistribution]:
    """One object for all trials with the same parameters: thousands of copies would burden memory and its collector."""
    return dict(distributions)


def allows(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution can give a value: one of its choices, or a number of its range that lies on its steps."""
    if not spans(distribution, value):
        return False
    low, step = getattr(distribution, "low", 0), getattr(distribution, "step", None)
    return step is None or abs((value - low) / step - round((value - low) / step)) < ON_STEP


def spans(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value lies within a distribution's choices or range; a wrong type does not."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and bool(distribution.low <= value <= distribution.high)


def from_unit(unit: float, distribution: BaseDistribution) -> Any:
    """The value at a quantile in [0, 1) of the distribution: uniform, log-uniform, stepped or categorical."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(unit * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = float(distribution.low), float(distribution.high), distribution.step
    if distribution.log:
        half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
        value = float(np.exp(np.log(low - half) + unit * (np.log(high + half) - np.log(low - half))))
        value = float(np.round(value)) if half else value
    elif step is not None:
        value = low + step * int(unit * (round((high - low) / step) + 1))
    else:
        value = low + unit * (high - low)
    return distribution.to_external_repr(min(max(value, low), high))
