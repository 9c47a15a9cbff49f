"""A trial is not trained where its model breaks a bound, or where its epochs are too slow for the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.epoch_limit import EpochLimit
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.worker.plan import Rules
from toprung.trainables.worker.worth_training import why_not_trained

BOUNDED = Objectives.named(["val_accuracy"], Bounds((Bound("latency_ms", greatest=5.0),)))
LIMIT = EpochLimit(usual_secs=1.0, timed_trials=3, secs_left=50.0)


def test_a_broken_bound_comes_first_and_no_epoch_is_timed(new_start: Callable, trainer_type: type) -> None:
    trainer, start = trainer_type(), replace(new_start(), epoch_limit=LIMIT)
    reason = why_not_trained(trainer, start, Rules(9, objectives=BOUNDED), {"latency_ms": 6.0})
    assert reason == "latency_ms 6 (20.0% beyond 5)"
    assert trainer.epochs_timed == 0


def test_bounds_that_are_not_enforced_leave_the_time(new_start: Callable, trainer_type: type) -> None:
    trainer, start = trainer_type(), replace(new_start(secs=6.0), epoch_limit=LIMIT)
    trainer.reset(start.config, 0)
    rules = Rules(9, objectives=BOUNDED, enforces_bounds=False)
    assert why_not_trained(trainer, start, rules, {"latency_ms": 6.0}).startswith("an epoch takes 6 s")
    assert why_not_trained(trainer, replace(start, epoch_limit=None), rules, {}) == ""
