"""Optuna distributions: which values one allows, and the way from a value to its quantile and back."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STEP_TOLERANCE = 1e-8  # in steps: 0.3 / 0.1 is not a whole number in floating point
_NUMERIC = (FloatDistribution, IntDistribution)


@lru_cache(maxsize=1024)
def shared_distributions(
    distributions: tuple[tuple[str, BaseDistribution], ...],
) -> Mapping[str, BaseDistribution]:
    """One dictionary for all trials with equal distributions: thousands of copies would cost memory and collection."""
    return dict(distributions)


def allows(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution can give a value: one of its choices, or a number within its range and on its steps."""
    if not spans(distribution, value):
        return False
    low, step = getattr(distribution, "low", 0), getattr(distribution, "step", None)
    return step is None or abs((value - low) / step - round((value - low) / step)) < STEP_TOLERANCE


def spans(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value is one of the choices or within the range, on a step or not; a wrong type or NaN is not."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, _NUMERIC)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and bool(distribution.low <= value <= distribution.high)


def to_unit(value: Any, distribution: BaseDistribution) -> float:
    """The quantile of an allowed value, in [0, 1]; the middle of its cell where values are discrete."""
    if isinstance(distribution, CategoricalDistribution):
        return (distribution.to_internal_repr(value) + 0.5) / len(distribution.choices)
    assert isinstance(distribution, _NUMERIC)
    low, high = _uniform_range(distribution)
    number = np.log(float(value)) if distribution.log else float(value)
    return float(np.clip((number - low) / (high - low), 0.0, 1.0)) if high > low else 0.5


def from_unit(unit: float, distribution: BaseDistribution) -> Any:
    """The value at a quantile in [0, 1]: uniform, log-uniform, stepped or categorical, as Optuna suggests it."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[_cell(unit, len(distribution.choices))]
    assert isinstance(distribution, _NUMERIC)
    low, high = _uniform_range(distribution)
    number = low + unit * (high - low)
    if distribution.log:
        number = float(np.exp(number))
        number = round(number) if isinstance(distribution, IntDistribution) else number
    elif distribution.step:
        cells = round((high - low) / distribution.step)
        number = distribution.low + distribution.step * _cell(unit, cells)
    return distribution.to_external_repr(float(np.clip(number, distribution.low, distribution.high)))


def rounded_to_grid(units: np.ndarray, distribution: BaseDistribution) -> np.ndarray:
    """Quantiles moved to the middle of their cell where values are discrete, so that a value has one quantile.

    Args:
        units: Quantiles of any shape, clipped to [0, 1); NaN stays NaN.
        distribution: The distribution of the values.
    """
    units = np.clip(units, 0.0, 1.0 - 1e-9)
    if isinstance(distribution, CategoricalDistribution):
        return _cell_middles(units, len(distribution.choices))
    assert isinstance(distribution, _NUMERIC)
    low, high = _uniform_range(distribution)
    if distribution.log and isinstance(distribution, IntDistribution):
        whole = np.clip(np.round(np.exp(low + units * (high - low))), distribution.low, distribution.high)
        return np.asarray((np.log(whole) - low) / (high - low))
    if distribution.log or not distribution.step:
        return units
    return _cell_middles(units, round((high - low) / distribution.step))


def _uniform_range(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """The ends of the scale on which values are uniform: logarithms if log, half a step further out if stepped."""
    if distribution.log:
        half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
        return float(np.log(distribution.low - half)), float(np.log(distribution.high + half))
    half = (distribution.step or 0.0) / 2
    return distribution.low - half, distribution.high + half


def _cell(unit: float, cells: int) -> int:
    return min(int(unit * cells), cells - 1)


def _cell_middles(units: np.ndarray, cells: int) -> np.ndarray:
    return np.asarray((np.floor(units * cells) + 0.5) / cells)
