"""A limit is reached exactly when its fact says so; the first one in order is named."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from toprung.search.driver.budgets import BudgetLimits, BudgetUsage


def test_without_limits_nothing_ends_a_search() -> None:
    assert BudgetLimits().reached(BudgetUsage(10**9, 1e9, 1e9, 1.0, 10**9)) is None


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_epochs_end_the_search_at_the_limit_and_not_before(limit: int, used: int) -> None:
    assert (BudgetLimits(epochs=limit).reached(BudgetUsage(epochs=used)) is not None) == (used >= limit)


def test_a_target_is_reached_from_below_or_from_above() -> None:
    assert BudgetLimits(target=0.9).reached(BudgetUsage(best=0.91)) == "target 0.9 is reached with 0.91"
    assert BudgetLimits(target=0.9).reached(BudgetUsage(best=0.89)) is None
    assert BudgetLimits(target=0.2, mode="min").reached(BudgetUsage(best=0.1)) is not None
    assert BudgetLimits(target=0.2, mode="min").reached(BudgetUsage(best=0.3)) is None


def test_nan_reaches_no_target() -> None:
    assert BudgetLimits(target=0.0).reached(BudgetUsage(best=math.nan)) is None


def test_each_limit_names_itself() -> None:
    spent = BudgetUsage(5, 2.5, 3.0, 0.5, 7)
    assert "5 epochs" in str(BudgetLimits(epochs=5).reached(spent))
    assert "gpu hours" in str(BudgetLimits(gpu_hours=2).reached(spent))
    assert "wall clock hours" in str(BudgetLimits(wall_clock_hours=3).reached(spent))
    assert "7 trials" in str(BudgetLimits(plateau_trials=7).reached(spent))
