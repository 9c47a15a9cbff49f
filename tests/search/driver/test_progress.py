"""What a person sees while a search runs: its pace in words, and when it will be over."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from toprung.search.driver.budgets import BudgetLimits, BudgetUsage
from toprung.search.driver.progress import EpochRate, ProgressDisplay, duration, per_time
from toprung.trainables.trial.report import Outcome


@pytest.mark.parametrize(
    ("per_sec", "said"),
    [
        (12.34, "12.3 a second"),
        (1.0, "1.0 a second"),
        (0.05, "3.0 a minute"),
        (0.001, "3.6 an hour"),
        (1e-5, "0.0 an hour"),
    ],
)
def test_a_rate_is_told_by_the_shortest_time_in_which_there_is_one(per_sec: float, said: str) -> None:
    assert per_time(per_sec) == said


@pytest.mark.parametrize(("secs", "said"), [(42, "42 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")])
def test_seconds_are_told_as_people_say_them(secs: float, said: str) -> None:
    assert duration(secs) == said


def test_the_pace_of_quick_epochs_is_that_of_the_last_half_minute() -> None:
    pace = EpochRate(0.0, 0)
    rates = [pace.epochs_per_sec(now, 10 * min(now, 100)) for now in range(161)]
    assert rates[0] == 0.0 and rates[100] == pytest.approx(10.0)
    assert rates[115] == pytest.approx(10.0 * 15 / 30, rel=0.1)
    assert rates[160] < rates[130] < 1.0, "no epoch came any more"


def test_the_pace_of_slow_epochs_is_that_of_the_last_ten() -> None:
    pace = EpochRate(0.0, 0)
    rates = [pace.epochs_per_sec(now, int(now // 100)) for now in range(5, 6001, 5)]
    assert rates[10] == 0.0
    assert all(rate == pytest.approx(0.01, rel=0.15) for rate in rates[300:]), (
        "neither 0 nor one in 30 seconds"
    )


def test_epochs_of_an_earlier_driver_are_nobodys_pace() -> None:
    pace = EpochRate(0.0, 500)
    assert pace.epochs_per_sec(10.0, 500) == 0.0
    assert pace.epochs_per_sec(20.0, 540) == pytest.approx(2.0)


def searching(ended: int, spent: BudgetUsage, **limits: Any) -> Any:
    """A search as the display sees it."""
    return SimpleNamespace(
        limits=BudgetLimits(**limits), ending=BudgetLimits(**limits).reached(spent), spent=spent, running=2,
        outcomes=Counter({Outcome.STOPPED: ended}), leader=("t00003", 2, 0.75), notes=list,
    )  # fmt: skip


def shown(before: Any, after: Any, secs: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """The line of a search of 40 trials, on two workers, that stood like that `secs` ago."""
    now = time.monotonic()
    monkeypatch.setattr("toprung.search.driver.progress.time.monotonic", lambda: now)
    display = ProgressDisplay(before, "val_accuracy", 40, 2, live=False)
    display._loop = after
    monkeypatch.setattr("toprung.search.driver.progress.time.monotonic", lambda: now + secs)
    return display.snapshot().line()


def test_a_line_tells_trials_best_pace_and_when_it_will_be_over(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = searching(0, BudgetUsage()), searching(10, BudgetUsage(epochs=60, wall_clock_hours=0.25))
    line = shown(before, after, 900.0, monkeypatch)
    assert line == (
        "15 min 0 s: 10/40 trials, 2 running, 0 completed, 10 stopped; best 0.7500 (t00003, epoch 2); "
        "60 epochs, 4.0 a minute, about 45 min 0 s left"
    )


def test_a_budget_that_ends_the_search_before_its_trials_do_is_foreseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spent = BudgetUsage(epochs=60, gpu_hours=0.5, wall_clock_hours=0.25)
    for limits, left in [
        ({"wall_clock_hours": 0.5}, "15 min 0 s"),
        ({"epochs": 80}, "5 min 0 s"),
        ({"gpu_hours": 0.6, "wall_clock_hours": 0.5}, "3 min 0 s"),
        ({"epochs": 1000}, "45 min 0 s"),
    ]:
        line = shown(
            searching(0, BudgetUsage(), **limits), searching(10, spent, **limits), 900.0, monkeypatch
        )
        assert line.endswith(f", about {left} left")


def test_a_spent_budget_is_told_instead_while_the_last_epochs_are_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    after = searching(10, BudgetUsage(epochs=60, wall_clock_hours=0.25), wall_clock_hours=0.2)
    line = shown(searching(0, BudgetUsage()), after, 900.0, monkeypatch)
    assert line.endswith(", ending: budget of 0.2 wall clock hours is spent")


def test_the_lines_of_a_log_come_ever_more_seldom(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("toprung.search.driver.progress.time.monotonic", lambda: clock.now)
    display = ProgressDisplay(searching(1, BudgetUsage()), "val_accuracy", 40, 2, live=False)

    def wait(secs: float) -> bool:
        clock.now += secs
        return clock.now > 8 * 3600

    monkeypatch.setattr(display._done, "wait", wait)
    display._print_lines()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["5 s", "10 s", "15 s", "20 s"]
    assert 500 < len(lines) < 800, "of eight hours, at most one a minute in the end"
