"""The model of all rungs: what each rung makes of the prediction of the rung below."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.multi_fidelity import MultiFidelityModel, RungData, linear_fit

UNIT = FloatDistribution(0.0, 1.0)
PLANE = Encoding.of([Point({}, {"x": 0.5, "y": 0.5}, {"x": UNIT, "y": UNIT})])
NO_ROWS = np.zeros((0, 2))


def peak(rows: np.ndarray, at: float) -> np.ndarray:
    """Best where x is `at`; y plays no part."""
    return np.asarray(1.0 - (rows[:, 0] - at) ** 2)


def test_results_too_few_for_length_scales_still_show_a_direction_in_many_dimensions() -> None:
    names = [f"x{number}" for number in range(25)]
    wide = Encoding.of([Point({}, dict.fromkeys(names, 0.5), dict.fromkeys(names, UNIT))])
    spreads, correlations = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rows, others = rng.random((25, 25)), rng.random((300, 25))
        model = MultiFidelityModel(wide, [RungData(rows, rows[:, :5].sum(axis=1), np.zeros((0, 25)))], [None])
        predicted, true = model.mean(others), others[:, :5].sum(axis=1)
        spreads.append(predicted.std() / true.std())
        correlations.append(np.corrcoef(predicted, true)[0, 1])
    # With unit scales no two points are correlated: 0.24 of the spread is left, and a correlation of 0.70.
    assert np.mean(spreads) > 0.4
    assert np.mean(correlations) > 0.75


def test_the_high_rung_overrules_the_low_one_where_they_differ() -> None:
    rows = np.random.default_rng(0).random((60, 2))
    low = RungData(rows, peak(rows, 0.2), NO_ROWS)
    high = RungData(rows[:20], peak(rows[:20], 0.8), NO_ROWS)
    grid = np.column_stack([np.linspace(0, 1, 21), np.full(21, 0.5)])
    best_low = grid[np.argmax(MultiFidelityModel(PLANE, [low], [None]).predict(grid)[0]), 0]
    best_both = grid[np.argmax(MultiFidelityModel(PLANE, [low, high], [None, None]).predict(grid)[0]), 0]
    assert best_low == pytest.approx(0.2, abs=0.1)
    assert best_both > 0.6


def test_a_rung_that_predicts_nothing_loses_its_weight() -> None:
    rng = np.random.default_rng(0)
    below = rng.random(200)
    # Two pseudo-results of slope 1 among 200: 0.01, and the deviation of the estimate is 1 / sqrt(200) = 0.07.
    assert linear_fit(below, rng.random(200))[1] < 0.3
    assert linear_fit(below, 2.0 + 3.0 * below) == (
        pytest.approx(2.0, abs=0.05),
        pytest.approx(3.0, abs=0.05),
    )


def test_the_leaders_are_the_rows_of_the_best_scores() -> None:
    data = RungData(np.array([[0.1, 0.0], [0.2, 0.0], [0.3, 0.0]]), np.array([1.0, 3.0, 2.0]), NO_ROWS)
    assert data.leaders(2)[:, 0].tolist() == [0.2, 0.3]


def test_the_mean_alone_is_the_mean_of_the_prediction() -> None:
    rows = np.random.default_rng(0).random((20, 2))
    rungs = [RungData(rows, peak(rows, 0.2), NO_ROWS), RungData(rows[:8], peak(rows[:8], 0.8), rows[8:10])]
    model = MultiFidelityModel(PLANE, rungs, [None, np.array([0.3, 2.0])])
    np.testing.assert_allclose(model.mean(rows), model.predict(rows)[0])
