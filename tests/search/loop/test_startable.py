"""How many trials may still start, by which workers are asked for and let go."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from toprung.search.loop.budgets import BudgetLimits
from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.search.loop.trial_state import ActiveTrial, ResumedState
from toprung.search.strategy.strategy import Strategy
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import EpochReport

MAX_EPOCHS = 9


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


def one_value(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_categorical("x", [1])}


def loop_of(
    facts: Any, trials: int | None, resumed: ResumedState | None = None, **settings: Any
) -> SearchLoop:
    limits = BudgetLimits(**settings.pop("limits", {}))
    what = settings.pop("space", space)
    strategy = Strategy.for_space(what, MAX_EPOCHS, 0, max_trials=trials, sampler="random", **settings)
    rules = LoopSettings(objective=Objective.named("val_accuracy"), max_epochs=MAX_EPOCHS, limits=limits)
    return SearchLoop(strategy, facts, rules, resumed)


def train(loop: SearchLoop, start: TrialStart, epochs: int = MAX_EPOCHS) -> None:
    for epoch in range(1, epochs + 1):
        value = {"val_accuracy": float(start.number + epoch)}
        loop.report(start.trial_id, EpochResult(EpochReport(start.trial_id, epoch, value, 1.0, float(epoch))))


def started(loop: SearchLoop) -> TrialStart:
    start = loop.next_trial()
    assert start is not None
    return start


def test_each_trial_that_starts_leaves_one_less(recorded_facts) -> None:
    loop = loop_of(recorded_facts(), 3)
    assert loop.startable == 3
    starts = [started(loop) for _ in range(3)]
    assert loop.startable == 0 and not loop.finished, "they still train"
    assert not loop.may_start_later, "a worker that is free now will not be needed again"
    for start in starts:
        train(loop, start)
    assert loop.finished


def test_without_a_number_of_trials_any_number_may_start_until_a_budget_is_spent(recorded_facts) -> None:
    loop = loop_of(recorded_facts(), None, limits={"epochs": MAX_EPOCHS})
    assert loop.startable == math.inf
    train(loop, started(loop))
    assert loop.startable == 0 and loop.finished


def test_a_space_that_is_used_up_leaves_none(recorded_facts) -> None:
    loop = loop_of(recorded_facts(), None, space=one_value)
    start = started(loop)
    assert loop.next_trial() is None
    assert loop.startable == 0 and not loop.may_start_later
    train(loop, start)
    assert loop.finished


def test_trials_that_an_earlier_driver_left_may_start_though_the_budget_is_spent(recorded_facts) -> None:
    before = loop_of(recorded_facts(), 5)
    left = [ActiveTrial(started(before)) for _ in range(2)]
    loop = loop_of(recorded_facts(), 5, ResumedState(unfinished=left), limits={"epochs": 1})
    loop_usage = replace(loop.usage, epochs=1)
    assert loop_usage.epochs == 1 and loop.startable >= 2 and loop.continues
    assert {started(loop).trial_id, started(loop).trial_id} == {"t00000", "t00001"}
    assert not loop.continues


def test_a_promotion_may_come_while_others_train(recorded_facts) -> None:
    loop = loop_of(recorded_facts(), 4, variant="promote", min_epochs=1)
    starts = [started(loop) for _ in range(4)]
    assert loop.startable == 0 and loop.may_start_later
    for start in starts:
        train(loop, start, epochs=1)
    assert loop.startable == 1, "the best of them"


def test_preemptions_and_waits_are_counted_for_each_trial_and_in_all(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts, 2)
    first, second = started(loop), started(loop)
    loop.preempt(first.trial_id), loop.preempt(first.trial_id)
    loop.wait(first.trial_id, 2.5), loop.wait(first.trial_id, 1.0)
    train(loop, first), train(loop, second)
    loop.preempt(first.trial_id), loop.wait("t00099", 1.0)  # it has ended; there is none of that name
    assert loop.preemptions == 2
    counted = {name: (trial.preemptions, trial.wait_secs) for name, trial in facts.trials.items()}
    assert counted == {"t00000": (2, 3.5), "t00001": (0, 0.0)}


@pytest.mark.parametrize("count", [1, 3])
def test_an_aborted_search_starts_nothing(recorded_facts, count: int) -> None:
    loop = loop_of(recorded_facts(), count)
    loop.abort_reason = "nothing works"
    assert loop.startable == 0 and loop.finished
