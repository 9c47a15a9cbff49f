"""The epoch to train for is where a curve is best on the whole, not where chance was kindest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.analysis.learning_curve import steady_epoch
from toprung.trainables.trial.objectives import Objective

ACCURACY, LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")


@pytest.mark.parametrize(
    ("curve", "epoch"),
    [
        ([0.5], 1),
        ([0.1, 0.9, 0.5], 2),
        ([0.1, 0.2, 0.95, 0.4, 0.5, 0.6, 0.8, 0.9, 0.9], 9),
        ([0.5, 0.8, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], 3),
        ([0.9] * 9, 1),
    ],
    ids=["one epoch", "too short to smooth", "one lucky epoch", "overfitted", "level"],
)
def test_the_epoch_is_where_the_curve_is_best_with_its_neighbours(curve: list[float], epoch: int) -> None:
    assert steady_epoch(curve, ACCURACY) == epoch
    assert steady_epoch([1 - value for value in curve], LOSS) == epoch


def test_a_loss_that_was_huge_once_hides_nothing_of_the_rest() -> None:
    assert steady_epoch([1e17, *[1.0] * 10, 0.2, 0.1, 0.1, 0.1], LOSS) == 15


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 1))
def test_what_rises_to_its_end_is_best_there(steps: list[float], least: float) -> None:
    assert steady_epoch(np.cumsum([step + least for step in steps]), ACCURACY) == len(steps)


def test_other_trainings_are_better_at_the_steady_epoch_than_at_the_best_one() -> None:
    rng, epochs = np.random.default_rng(0), np.arange(1, 28)
    truth = 0.9 - 0.4 * np.exp(-epochs / 4) - 0.002 * np.maximum(epochs - 15, 0)
    curves = truth + rng.normal(0, 0.01, (2000, 27))
    steady = np.mean([truth.max() - truth[steady_epoch(curve, ACCURACY) - 1] for curve in curves])
    lucky = np.mean([truth.max() - truth[int(curve.argmax())] for curve in curves])
    # The losses deviate by 0.005 at most: their difference over 2,000 curves by 0.005 * sqrt(2 / 2000) = 0.00016.
    assert steady < lucky - 4 * 0.00016
