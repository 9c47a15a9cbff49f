"""The model of all rungs: what each rung makes of the prediction of the rung below."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.multi_fidelity import Link, MultiFidelityModel, RungData

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
    below, nothing = rng.random(200), np.zeros(200)
    spreads = float(below.var()), 0.0
    # Two pseudo-results of slope 1 among 200: 0.01, and the deviation of the estimate is 1 / sqrt(200) = 0.07.
    assert Link.fitted(below, nothing, rng.random(200), spreads).slope < 0.3
    exact = Link.fitted(below, nothing, 2.0 + 3.0 * below, spreads)
    assert (exact.intercept, exact.slope) == (pytest.approx(2.0, abs=0.05), pytest.approx(3.0, abs=0.05))


@pytest.mark.parametrize("seed", range(5))
def test_the_slope_over_survivors_is_that_over_all_trials(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, beyond = rng.normal(size=600), rng.normal(size=600)
    later = predicted + beyond + 0.3 * rng.normal(size=600)
    kept = predicted + beyond > np.quantile(predicted + beyond, 2 / 3)
    link = Link.fitted(predicted[kept], beyond[kept], later[kept], (1.0, 1.0))
    assert link.slope == pytest.approx(1.0, abs=0.1)
    assert np.polyfit(predicted[kept], later[kept], 1)[0] < 0.7, "of the prediction alone"


def test_few_survivors_that_are_much_alike_leave_the_slope_where_it_was() -> None:
    predicted, later = np.array([0.90, 0.91, 0.92]), np.array([0.5, 0.6, 0.4])
    alone = Link.fitted(predicted, np.zeros(3), later, (float(predicted.var()), 0.0))
    among_all = Link.fitted(predicted, np.zeros(3), later, (0.04, 0.0))
    assert alone.slope == 0.0
    assert among_all.slope == pytest.approx(1.0, abs=0.2)


def test_where_trials_fail_nothing_good_is_predicted_at_any_rung() -> None:
    rows = np.random.default_rng(0).random((60, 2))
    rows, failed = rows[np.abs(rows[:, 0] - 0.5) > 0.2], rows[np.abs(rows[:, 0] - 0.5) <= 0.2]
    low = RungData(rows, peak(rows, 0.5), NO_ROWS, failed=failed)
    best = rows[np.argsort(-low.scores)[:8]]
    high = RungData(best, peak(best, 0.5) - 0.1, NO_ROWS, peak(best, 0.5), failed)
    for rungs in ([low], [low, high]):
        model = MultiFidelityModel(PLANE, rungs, [None] * len(rungs))
        assert model.mean(failed).max() < model.mean(rows).max()


def test_the_leaders_are_the_rows_of_the_best_scores() -> None:
    data = RungData(np.array([[0.1, 0.0], [0.2, 0.0], [0.3, 0.0]]), np.array([1.0, 3.0, 2.0]), NO_ROWS)
    assert data.leaders(2)[:, 0].tolist() == [0.2, 0.3]


def test_the_mean_alone_is_the_mean_of_the_prediction() -> None:
    rows = np.random.default_rng(0).random((20, 2))
    rungs = [RungData(rows, peak(rows, 0.2), NO_ROWS), RungData(rows[:8], peak(rows[:8], 0.8), rows[8:10])]
    model = MultiFidelityModel(PLANE, rungs, [None, np.array([0.3, 2.0])])
    np.testing.assert_allclose(model.mean(rows), model.predict(rows)[0])
