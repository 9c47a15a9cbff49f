"""How long an epoch takes, learned from trials, and how that changes proposals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from toprung.search.strategy.strategy import Strategy
from toprung.search.strategy.surrogate.epoch_cost import EpochCost
from toprung.trainables.trial.report import EpochReport

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCHS = 9


def test_a_time_that_grows_exponentially_is_found_again() -> None:
    features = np.random.default_rng(0).random((60, 3))
    cost = EpochCost.fitted(features, 0.2 * np.exp(3.0 * features[:, 1]))
    assert cost is not None
    fast, slow = cost.factors(np.array([[0.5, 0.1, 0.5], [0.5, 0.9, 0.5]]))
    # The prior shrinks: 60 * var(u) = 5 against a penalty of 0.1 on each of two terms, 2% to 5% of the slope.
    assert np.log(slow / fast) == pytest.approx(3.0 * 0.8, rel=0.07)


def test_too_few_times_give_no_model_and_equal_ones_no_difference() -> None:
    features = np.random.default_rng(0).random((6, 2))
    assert EpochCost.fitted(features[:3], np.ones(3)) is None
    cost = EpochCost.fitted(features, np.full(6, 7.0))
    assert cost is not None
    assert cost.factors(features).tolist() == [1.0] * 6


def test_one_trial_on_a_slow_machine_changes_little() -> None:
    features = np.random.default_rng(0).random((100, 2))
    secs = np.ones(100)
    secs[0] = 10.0
    cost = EpochCost.fitted(features, secs)
    assert cost is not None
    # Least squares over 100 trials: no point weighs more than some 2 * 4 terms / 100 of the misfit log(10).
    assert np.abs(np.log(cost.factors(features))).max() < 0.08 * np.log(10) * 4


def proposed(weighs_time: bool, epoch_secs: Callable[[float], float], trials: int = 60) -> list[float]:
    """The widths a search proposes for a value that width does not change, one trial after the other."""

    def space(trial: Any) -> dict[str, Any]:
        return {
            "width": trial.suggest_float("width", 0.0, 1.0),
            "rate": trial.suggest_float("rate", 0.0, 1.0),
        }

    strategy = Strategy.for_space(space, EPOCHS, seed=3, max_trials=trials)
    strategy.weighs_time = weighs_time
    widths = []
    while (proposal := strategy.ask()) is not None:
        width, rate = proposal.config["width"], proposal.config["rate"]
        widths.append(width)
        for epoch in range(1, EPOCHS + 1):
            value, secs = 1.0 - (rate - 0.4) ** 2, epoch * epoch_secs(width)
            report = EpochReport(proposal.trial_id, epoch, {"val_accuracy": value}, 0.0, secs)
            if strategy.report(report).name != "KEEP":
                break
    return widths


def test_of_equally_good_configurations_the_quick_ones_are_proposed() -> None:
    widths = proposed(True, lambda width: float(np.exp(4.0 * width)), trials=90)
    # The median of 40 widths drawn at random is 0.5, with a deviation of 0.5 / sqrt(40) = 0.08.
    assert np.median(widths[50:]) < 0.3


def test_where_time_is_not_weighed_the_speed_of_the_machine_changes_no_proposal() -> None:
    assert proposed(False, lambda width: 1.0 + width) == proposed(False, lambda width: 9.0 - width)
