"""The rung model: what a process predicts, and what the rungs make of each other."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.acquisition import expected_improvement, propose
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.gaussian_process import Gaussian, fit_lengths
from toprung.search.strategy.surrogate.length_scales import LengthScales, weighted_length_scales, winsorised
from toprung.search.strategy.surrogate.multi_fidelity import MultiFidelityModel, RungData, linear_fit

KIND = FloatDistribution(0.0, 1.0)
PLANE = Encoding.of([Point({}, {"x": 0.5, "y": 0.5}, {"x": KIND, "y": KIND})])
NOBODY = np.zeros((0, 2))


def peak(rows: np.ndarray, at: float) -> np.ndarray:
    """Best where x is `at`; y plays no part."""
    return np.asarray(1.0 - (rows[:, 0] - at) ** 2)


def lengths_of(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The length scales of x and y at a rung with these results."""
    rung = Rung(1)
    for number, score in enumerate(scores.tolist()):
        rung.add(number, score)
    lengths = LengthScales().of(rung, range(len(rows)), lambda number: np.asarray(rows[number]), PLANE)
    assert lengths is not None
    return lengths


def test_a_process_returns_its_observations_and_is_unsure_between_them() -> None:
    points = np.array([[0.0], [0.5], [1.0]])
    process = Gaussian.condition(points, np.array([0.0, 1.0, 0.0]), np.array([0.3]))
    mean, variance = process.predict(np.array([[0.5], [0.25]]))
    assert mean[0] == pytest.approx(1.0, abs=0.05)
    assert variance[1] > 10 * variance[0]


def test_a_handful_of_results_is_not_taken_for_noise_and_many_results_of_noise_are() -> None:
    def kept(values: np.ndarray, points: np.ndarray, length: float) -> float:
        """The share of the values' spread that the process believes."""
        process = Gaussian.condition(points, values - values.mean(), np.full(points.shape[1], length))
        return float(process.mean(points).std() / values.std())

    few = [np.random.default_rng(seed).random((4, 5)) for seed in range(40)]
    # By likelihood alone 0.15 of the spread is left in the worst of these draws.
    assert min(kept(points.sum(axis=1), points, 0.5 * np.sqrt(5.0)) for points in few) > 0.5
    many = [np.random.default_rng(seed) for seed in range(20)]
    assert np.mean([kept(rng.normal(size=64), rng.random((64, 3)), 0.3) for rng in many]) < 0.5


def test_length_scales_tell_which_parameter_matters() -> None:
    points = np.random.default_rng(0).random((40, 2))
    values = np.sin(6 * points[:, 0])
    lengths = fit_lengths(points, (values - values.mean()) / values.std()).lengths
    assert lengths[1] > 5 * lengths[0]


@pytest.mark.parametrize("seed", range(5))
def test_length_scales_tell_which_parameter_matters_when_noise_has_picked_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((293, 2))
    lengths = lengths_of(rows, peak(rows, 0.7) + rng.normal(0, 0.1, len(rows)))
    assert lengths[0] < 0.5 * lengths[1]


def test_without_noise_the_best_alone_tell_which_parameter_matters() -> None:
    rows = np.random.default_rng(0).random((293, 2))
    # Far from the top x decides, at the top y alone.
    scores = np.where(rows[:, 0] < 0.6, rows[:, 0] - 3.0, np.sin(6 * rows[:, 1]))
    best = rows[np.argsort(-scores)[:64]]
    values = winsorised(np.sin(6 * best[:, 1]))
    expected = fit_lengths(best, (values - values.mean()) / values.std()).lengths
    assert lengths_of(rows, scores) == pytest.approx(expected)
    assert expected[1] < 0.5 * expected[0]


def test_several_objectives_share_their_length_scales_by_what_they_count_for() -> None:
    by_rate, by_width = np.array([0.2, 5.0]), np.array([5.0, 0.2])
    assert weighted_length_scales((1.0,), [by_rate]) is by_rate
    assert weighted_length_scales((0.5, 0.5), [by_rate, None]) is by_rate
    assert weighted_length_scales((0.5, 0.5), [None, None]) is None
    half, mostly_width = (weighted_length_scales(w, [by_rate, by_width]) for w in ((0.5, 0.5), (0.1, 0.9)))
    assert half[0] == half[1]
    assert mostly_width[1] < mostly_width[0]
    np.testing.assert_allclose(weighted_length_scales((0.0, 1.0), [by_rate, by_width]), by_width)


def test_results_too_few_for_length_scales_still_tell_a_direction_in_many_dimensions() -> None:
    names = [f"x{number}" for number in range(25)]
    wide = Encoding.of([Point({}, dict.fromkeys(names, 0.5), dict.fromkeys(names, KIND))])
    spreads, correlations = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rows, others = rng.random((25, 25)), rng.random((300, 25))
        stack = MultiFidelityModel(wide, [RungData(rows, rows[:, :5].sum(axis=1), np.zeros((0, 25)))], [None])
        predicted, true = stack.mean(others), others[:, :5].sum(axis=1)
        spreads.append(predicted.std() / true.std())
        correlations.append(np.corrcoef(predicted, true)[0, 1])
    # With unit scales all points are strangers: 0.24 of the spread is left, and a correlation of 0.70.
    assert np.mean(spreads) > 0.4
    assert np.mean(correlations) > 0.75


def test_a_pending_point_lowers_the_variance_around_it_and_leaves_the_means() -> None:
    rng = np.random.default_rng(0)
    points, asked = rng.random((10, 2)), rng.random((5, 2))
    process = Gaussian.condition(points, points[:, 0], np.array([0.5, 0.5]))
    condition_on_mean = process.condition_on_mean(asked[:1])
    assert condition_on_mean.predict(asked)[0] == pytest.approx(process.predict(asked)[0])
    assert condition_on_mean.predict(asked)[1][0] < 0.1 * process.predict(asked)[1][0]


def test_the_high_rung_overrules_the_low_one_where_they_differ() -> None:
    rows = np.random.default_rng(0).random((60, 2))
    low = RungData(rows, peak(rows, 0.2), NOBODY)
    high = RungData(rows[:20], peak(rows[:20], 0.8), NOBODY)
    grid = np.column_stack([np.linspace(0, 1, 21), np.full(21, 0.5)])
    best_low = grid[np.argmax(MultiFidelityModel(PLANE, [low], [None]).predict(grid)[0]), 0]
    best_both = grid[np.argmax(MultiFidelityModel(PLANE, [low, high], [None, None]).predict(grid)[0]), 0]
    assert best_low == pytest.approx(0.2, abs=0.1)
    assert best_both > 0.6


def test_a_rung_that_tells_nothing_loses_its_weight() -> None:
    rng = np.random.default_rng(0)
    below = rng.random(200)
    # Two pseudo-results of slope 1 among 200: 0.01, and the deviation of the estimate is 1 / sqrt(200) = 0.07.
    assert linear_fit(below, rng.random(200))[1] < 0.3
    assert linear_fit(below, 2.0 + 3.0 * below) == (
        pytest.approx(2.0, abs=0.05),
        pytest.approx(3.0, abs=0.05),
    )


def test_a_proposal_lies_where_the_model_expects_the_most() -> None:
    rows = np.random.default_rng(0).random((40, 2))
    stack = MultiFidelityModel(PLANE, [RungData(rows, peak(rows, 0.7), NOBODY)], [None])
    proposed = [propose(PLANE, stack, rows, rows, np.random.default_rng(seed))["x"] for seed in range(5)]
    assert proposed == pytest.approx([0.7] * 5, abs=0.15)


def test_how_bad_a_bad_score_is_tells_nothing() -> None:
    assert winsorised(np.array([0.9, 0.8, 0.7, -50.0, 0.75])).min() == pytest.approx(0.6, abs=0.01)


def test_expected_improvement_counts_only_what_is_above_the_best() -> None:
    gain = expected_improvement(np.array([0.0, 1.0, -5.0]), np.array([1.0, 1e-12, 1e-12]), 0.0)
    assert gain.tolist() == pytest.approx([1 / np.sqrt(2 * np.pi), 1.0, 0.0])
