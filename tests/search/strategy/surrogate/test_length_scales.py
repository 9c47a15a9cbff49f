"""Length scales of the rungs: which parameters matter among the best results."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.length_scale_fit import fit_lengths
from toprung.search.strategy.surrogate.length_scales import LengthScales, weighted_length_scales, winsorised

UNIT = FloatDistribution(0.0, 1.0)
PLANE = Encoding.of([Point({}, {"x": 0.5, "y": 0.5}, {"x": UNIT, "y": UNIT})])


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


@pytest.mark.parametrize("seed", range(5))
def test_length_scales_show_which_parameter_matters_when_noise_has_picked_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((293, 2))
    lengths = lengths_of(rows, peak(rows, 0.7) + rng.normal(0, 0.1, len(rows)))
    assert lengths[0] < 0.5 * lengths[1]


def test_without_noise_the_best_alone_show_which_parameter_matters() -> None:
    rows = np.random.default_rng(0).random((293, 2))
    # Far from the top x decides, at the top y alone.
    scores = np.where(rows[:, 0] < 0.6, rows[:, 0] - 3.0, np.sin(6 * rows[:, 1]))
    best = rows[np.argsort(-scores)[:64]]
    values = winsorised(np.sin(6 * best[:, 1]))
    expected = fit_lengths(best, (values - values.mean()) / values.std()).lengths
    assert lengths_of(rows, scores) == pytest.approx(expected)
    assert expected[1] < 0.5 * expected[0]


def test_several_objectives_share_their_length_scales_by_their_weights() -> None:
    by_rate, by_width = np.array([0.2, 5.0]), np.array([5.0, 0.2])
    assert weighted_length_scales((1.0,), [by_rate]) is by_rate
    assert weighted_length_scales((0.5, 0.5), [by_rate, None]) is by_rate
    assert weighted_length_scales((0.5, 0.5), [None, None]) is None
    half, mostly_width = (weighted_length_scales(w, [by_rate, by_width]) for w in ((0.5, 0.5), (0.1, 0.9)))
    assert half[0] == half[1]
    assert mostly_width[1] < mostly_width[0]
    np.testing.assert_allclose(weighted_length_scales((0.0, 1.0), [by_rate, by_width]), by_width)


def test_scores_far_below_the_median_are_raised() -> None:
    assert winsorised(np.array([0.9, 0.8, 0.7, -50.0, 0.75])).min() == pytest.approx(0.6, abs=0.01)


def test_scales_are_fitted_again_when_the_rung_has_grown_by_a_quarter() -> None:
    rows = np.random.default_rng(0).random((40, 2))
    scales, rung = LengthScales(), Rung(1)
    due_at = []
    for number, score in enumerate(np.sin(6 * rows[:, 0]).tolist()):
        rung.add(number, score)
        if scales.is_due(rung, PLANE):
            due_at.append(len(rung))
            scales.of(rung, range(len(rows)), lambda n: np.asarray(rows[n]), PLANE)
    assert due_at == [4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 33]


def test_a_rung_of_equal_scores_or_unknown_trials_has_no_scales() -> None:
    rung = Rung.of(1, dict.fromkeys(range(10), 0.5))
    assert LengthScales().of(rung, range(10), lambda n: np.array([n / 10, 0.5]), PLANE) is None
    varied = Rung.of(1, {number: number / 10 for number in range(10)})
    assert LengthScales().of(varied, (), lambda n: np.array([n / 10, 0.5]), PLANE) is None
