"""A limit is reached exactly when its fact says so; the first one in order is named."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from toprung.search.loop.budgets import BudgetLimits, BudgetUsage
from toprung.trainables.trial.objectives import Objective

ACCURACY, LOSS = Objective.named("val_accuracy"), Objective.named("val_loss")


def test_without_limits_nothing_ends_a_search() -> None:
    assert BudgetLimits().reached(BudgetUsage(10**9, 1e9, 1e9, 1.0, 10**9), ACCURACY) is None


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_epochs_end_the_search_at_the_limit_and_not_before(limit: int, used: int) -> None:
    reached = BudgetLimits(epochs=limit).reached(BudgetUsage(epochs=used), ACCURACY)
    assert (reached is not None) == (used >= limit)


def test_a_target_is_reached_from_below_or_from_above() -> None:
    high, low = BudgetLimits(target=0.9), BudgetLimits(target=0.2)
    assert high.reached(BudgetUsage(best=0.91), ACCURACY) == "target 0.9 is reached with 0.91"
    assert high.reached(BudgetUsage(best=0.89), ACCURACY) is None
    assert low.reached(BudgetUsage(best=0.1), LOSS) == "target 0.2 is reached with 0.1"
    assert low.reached(BudgetUsage(best=0.3), LOSS) is None


def test_nan_reaches_no_target() -> None:
    for objective in (ACCURACY, LOSS):
        assert BudgetLimits(target=0.0).reached(BudgetUsage(best=math.nan), objective) is None


def test_each_limit_names_itself() -> None:
    usage = BudgetUsage(5, 2.5, 3.0, 0.5, 7)
    for limits, name in [
        (BudgetLimits(epochs=5), "5 epochs"),
        (BudgetLimits(gpu_hours=2), "gpu hours"),
        (BudgetLimits(wall_clock_hours=3), "wall clock hours"),
        (BudgetLimits(plateau_trials=7), "7 trials"),
    ]:
        assert name in str(limits.reached(usage, ACCURACY))


def test_no_less_than_nothing_is_left_for_a_trial() -> None:
    usage = BudgetUsage(gpu_hours=2.0, wall_clock_hours=3.0)
    assert BudgetLimits(wall_clock_hours=1.0).trial_secs_left(usage, gpus=0.0) == 0.0
    assert BudgetLimits(gpu_hours=1.0).trial_secs_left(usage, gpus=1.0) == 0.0
