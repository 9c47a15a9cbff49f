"""The search algorithm and the scheduler called as Ray Tune's controller calls them, without Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from toprung.search.integrations.ray_tune import StrategySearch
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCHS = 9
BOUNDS = {"parameter_count": {"max": 1e4}, "val_loss": {"max": 1.0}}


def space(trial: Any) -> dict[str, Any]:
    return {"rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True)}


def metrics(config: Mapping[str, Any], epoch: int) -> dict[str, float]:
    height = 1.0 - abs(math.log10(config["rate"]) + 2.5) / 3
    accuracy = height * (1.0 - math.exp(-epoch / 3))
    return {
        "val_accuracy": accuracy,
        "val_loss": 1.3 - accuracy,
        "parameter_count": 1e6 * config["rate"],
    }


def tried_in_ray(trials: int, ends_at: int = EPOCHS, crashes_at: int = 0) -> list[tuple[float, int]]:
    """The rates and last epochs; a trainable ends by itself at an epoch, and some crash."""
    search = StrategySearch(space, EPOCHS, "val_accuracy", bounds=BOUNDS)
    scheduler, tried = search.scheduler(), []
    for number in range(trials):
        name = f"ray{number}"
        config = search.suggest(name)
        assert isinstance(config, dict) and config != Searcher.FINISHED
        trial, epoch, decision = SimpleNamespace(trial_id=name, config=config), 0, TrialScheduler.CONTINUE
        while decision == TrialScheduler.CONTINUE:
            if epoch + 1 == crashes_at and config["rate"] > 0.002:
                search.on_trial_complete(name, error=True)
                break
            epoch += 1
            result = {**metrics(config, epoch), "training_iteration": epoch}
            # A result that says that the trainable is done never comes to the scheduler.
            is_done = epoch == ends_at
            decision = TrialScheduler.STOP if is_done else scheduler.on_trial_result(None, trial, result)
            if decision == TrialScheduler.STOP:
                search.on_trial_complete(name, result)
        tried.append((config["rate"], epoch))
    return tried


def tried_alone(trials: int, ends_at: int = EPOCHS, crashes_at: int = 0) -> list[tuple[float, int]]:
    """What the strategy by itself tries, with models beyond a bound stopped as `toprung search` does."""
    strategy = Strategy.for_space(space, EPOCHS, 0, bounds=BOUNDS)
    strategy.weighs_time = False
    tried = []
    for _ in range(trials):
        name, config = strategy.ask() or pytest.fail("nothing proposed")
        epoch, of_model = 0, {"parameter_count": 1e6 * config["rate"]}
        if of_model["parameter_count"] > 1e4 and crashes_at != 1:
            strategy.measured(name, of_model)
            strategy.finish(name, Outcome.STOPPED)
            epoch = 1  # Ray Tune hears of it with the first report
        while strategy.state(name).outcome is None:
            if epoch + 1 == crashes_at and config["rate"] > 0.002:
                strategy.finish(name, Outcome.FAILED)
                break
            epoch += 1
            strategy.report(EpochReport(name, epoch, metrics(config, epoch)))
            if epoch == ends_at:
                strategy.finish(name, Outcome.STOPPED)
        tried.append((config["rate"], epoch))
    return tried


@pytest.mark.parametrize("ways", [{}, {"ends_at": 4}, {"crashes_at": 3}, {"crashes_at": 1}])
def test_the_calls_of_ray_tune_lead_to_what_the_strategy_alone_does(ways: dict[str, int]) -> None:
    tried = tried_in_ray(25, **ways)
    assert tried == tried_alone(25, **ways)
    assert {epoch for rate, epoch in tried if rate > 0.01} == ({0} if ways == {"crashes_at": 1} else {1})


def test_a_report_without_a_bounded_metric_is_named() -> None:
    search = StrategySearch(space, EPOCHS, "val_accuracy", bounds=BOUNDS)
    trial = SimpleNamespace(trial_id="ray0", config=search.suggest("ray0"))
    result = {"val_accuracy": 0.5, "parameter_count": 10.0, "training_iteration": 1}
    with pytest.raises(InputError, match="trial ray0: val_loss is missing; must be in each report"):
        search.scheduler().on_trial_result(None, trial, result)
