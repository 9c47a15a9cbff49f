"""How far a search is: its rate in words, and when it will be over."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from toprung.search.driver.progress import EpochRate, SearchProgress, duration, per_time
from toprung.search.loop.budgets import BudgetLimits, BudgetUsage
from toprung.search.loop.trial_state import Leader
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import Outcome


@pytest.mark.parametrize(
    ("per_sec", "words"),
    [
        (12.34, "12.3 a second"),
        (1.0, "1.0 a second"),
        (0.05, "3.0 a minute"),
        (0.001, "3.6 an hour"),
        (1e-5, "0.0 an hour"),
    ],
)
def test_a_rate_is_given_by_the_shortest_unit_of_time_in_which_there_is_one(
    per_sec: float, words: str
) -> None:
    assert per_time(per_sec) == words


@pytest.mark.parametrize(("secs", "words"), [(42, "42 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")])
def test_seconds_are_given_in_words(secs: float, words: str) -> None:
    assert duration(secs) == words


def test_the_rate_of_quick_epochs_is_that_of_the_last_half_minute() -> None:
    rate = EpochRate(0.0, 0)
    rates = [rate.epochs_per_sec(now, 10 * min(now, 100)) for now in range(161)]
    assert rates[0] == 0.0 and rates[100] == pytest.approx(10.0)
    assert rates[115] == pytest.approx(10.0 * 15 / 30, rel=0.1)
    assert rates[160] < rates[130] < 1.0, "no epoch came any more"


def test_the_rate_of_slow_epochs_is_that_of_the_last_ten() -> None:
    rate = EpochRate(0.0, 0)
    rates = [rate.epochs_per_sec(now, int(now // 100)) for now in range(5, 6001, 5)]
    assert rates[10] == 0.0
    assert all(rate == pytest.approx(0.01, rel=0.15) for rate in rates[300:]), (
        "neither 0 nor one in 30 seconds"
    )


def test_epochs_of_an_earlier_driver_do_not_count() -> None:
    rate = EpochRate(0.0, 500)
    assert rate.epochs_per_sec(10.0, 500) == 0.0
    assert rate.epochs_per_sec(20.0, 540) == pytest.approx(2.0)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_secs = 1000.0

    def __call__(self) -> float:
        return self.now_secs


def searching(ended: int, usage: BudgetUsage, **limits: Any) -> Any:
    """A search loop as its progress is read from it."""
    budget = BudgetLimits(**limits)
    return SimpleNamespace(
        limits=budget, reached_limit=budget.reached(usage, Objective.named("val_accuracy")), usage=usage, running=2,
        outcomes=Counter({Outcome.STOPPED: ended}), leader=Leader("t00003", 2, 0.75), notes=list, preemptions=0,
    )  # fmt: skip


def line_after(secs: float, before: Any, after: Any) -> str:
    """The line of a search of 40 trials that was in the state `before` so many seconds ago."""
    clock, loop = Clock(), SimpleNamespace(**vars(before))
    progress = SearchProgress(loop, 40, lambda: 2700.0, clock)  # type: ignore[arg-type]
    vars(loop).update(vars(after))
    clock.now_secs += secs
    return progress.snapshot().line()


def test_a_line_tells_trials_best_rate_and_the_time_left() -> None:
    before, after = searching(0, BudgetUsage()), searching(10, BudgetUsage(epochs=60, wall_clock_hours=0.25))
    assert line_after(900.0, before, after) == (
        "15 min 0 s: 10/40 trials, 2 running, 0 completed, 10 stopped; best 0.7500 (t00003, epoch 2); "
        "60 epochs, 4.0 a minute, about 45 min 0 s left"
    )


def test_preemptions_are_told_where_there_were_any() -> None:
    after = searching(10, BudgetUsage(epochs=60, wall_clock_hours=0.25))
    after.preemptions = 2
    assert "10 stopped, 2 preemptions; best" in line_after(900.0, searching(0, BudgetUsage()), after)


def test_a_budget_that_ends_the_search_before_its_trials_do_is_foreseen() -> None:
    usage = BudgetUsage(epochs=60, gpu_hours=0.5, wall_clock_hours=0.25)
    for limits, left in [
        ({"wall_clock_hours": 0.5}, "15 min 0 s"),
        ({"epochs": 80}, "5 min 0 s"),
        ({"gpu_hours": 0.6, "wall_clock_hours": 0.5}, "3 min 0 s"),
        ({"epochs": 1000}, "45 min 0 s"),
    ]:
        before, after = searching(0, BudgetUsage(), **limits), searching(10, usage, **limits)
        assert line_after(900.0, before, after).endswith(f", about {left} left")


def test_a_spent_budget_is_named_instead_while_the_last_epochs_are_trained() -> None:
    after = searching(10, BudgetUsage(epochs=60, wall_clock_hours=0.25), wall_clock_hours=0.2)
    line = line_after(900.0, searching(0, BudgetUsage()), after)
    assert line.endswith(", ending: budget of 0.2 wall clock hours is spent")


def test_each_note_is_new_once() -> None:
    loop = searching(0, BudgetUsage())
    loop.notes = lambda: ["first rung raised"]
    progress = SearchProgress(loop, 40, lambda: None)
    assert progress.new_notes() == ["first rung raised"]
    loop.notes = lambda: ["first rung raised", "first rung lowered"]
    assert progress.new_notes() == ["first rung lowered"]
    assert progress.new_notes() == []
