"""The chance that a configuration keeps the bounds, from what was measured of others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.feasibility import (
    ENOUGH_VALUES,
    LEAST,
    AllOf,
    BoundedValues,
    BoundModels,
    on_model_scale,
)
from toprung.trainables.trial.bounds import Bound

UNIT = FloatDistribution(0.0, 1.0)
PLANE = Encoding.of([Point({}, {"x": 0.5, "y": 0.5}, {"x": UNIT, "y": UNIT})])
ROWS = np.random.default_rng(0).random((300, 2))


def modelled(bound: Bound, value: Callable[[np.ndarray], float], count: int = 30) -> AllOf:
    values = {number: on_model_scale(bound.metric, value(ROWS[number])) for number in range(count)}
    known = BoundedValues(bound, Rung.of(0, values))
    return AllOf(BoundModels().fitted([known], range(count), lambda number: ROWS[number], PLANE))


def chance(model: AllOf, x: float) -> float:
    return float(model.chances(np.array([[x, 0.5]]))[0])


@pytest.mark.parametrize("count", [10, 300])
def test_a_size_that_grows_with_a_parameter_is_within_its_bound_below_it(count: int) -> None:
    model = modelled(Bound("parameter_count", greatest=1e5), lambda row: 10 ** (4.0 + 2.0 * row[0]), count)
    assert chance(model, 0.3) > 0.9 and chance(model, 0.7) < 0.1
    assert chance(model, 0.95) >= LEAST


def test_a_bound_with_two_ends_is_kept_between_them() -> None:
    model = modelled(Bound("val_accuracy", 0.4, 0.6), lambda row: row[0])
    assert chance(model, 0.5) > 0.9
    assert max(chance(model, 0.1), chance(model, 0.9)) < 0.1


def test_too_few_values_say_nothing_and_equal_ones_are_certain() -> None:
    bound = Bound("latency_ms", greatest=5.0)
    assert chance(modelled(bound, lambda row: 7.0, ENOUGH_VALUES - 1), 0.5) == 1.0
    assert chance(modelled(bound, lambda row: 7.0, ENOUGH_VALUES), 0.5) == LEAST
    assert chance(modelled(bound, lambda row: 3.0, ENOUGH_VALUES), 0.5) == 1.0


@settings(max_examples=30)
@given(
    st.lists(st.floats(1e-3, 1e9), min_size=ENOUGH_VALUES, max_size=40),
    st.floats(1e-2, 1e8),
    st.sampled_from(["latency_ms", "parameter_count", "val_loss"]),
)
def test_a_chance_is_a_chance_whatever_was_measured(values: list[float], limit: float, metric: str) -> None:
    bound = Bound(metric, greatest=limit)
    rung = Rung.of(0, {number: math.log(value) for number, value in enumerate(values)})
    models = BoundModels().fitted([BoundedValues(bound, rung)], range(len(values)), lambda n: ROWS[n], PLANE)
    chances = AllOf(models).chances(ROWS[:50])
    assert chances.shape == (50,) and (chances >= LEAST).all() and (chances <= 1.0).all()


def test_chances_of_several_bounds_multiply() -> None:
    size = modelled(Bound("parameter_count", greatest=1e5), lambda row: 10 ** (4.0 + 2.0 * row[0]))
    speed = modelled(Bound("latency_ms", greatest=5.0), lambda row: 1.0 + 8.0 * row[1])
    both = AllOf([size, speed]).chances(ROWS)
    np.testing.assert_allclose(both, size.chances(ROWS) * speed.chances(ROWS))
    assert AllOf([]).chances(ROWS).tolist() == [1.0] * len(ROWS)
