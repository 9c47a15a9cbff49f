"""Searches with bounds: proposals that keep them, the best that keeps them, and exact replays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from toprung.search.simulation.simulator import ClusterConditions, simulate
from toprung.search.strategy.bounded_metrics import BoundedMetrics
from toprung.search.strategy.strategy import Strategy, TrialRecord
from toprung.search.strategy.surrogate.model import RungModel
from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCHS = 27
SMALL = Bounds((Bound("parameter_count", greatest=1e5),))


class SmallOrGood:
    """The larger the better, and one in four random configurations is small enough."""

    max_epochs = EPOCHS

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "width": trial.suggest_int("width", 8, 512, log=True),
            "depth": trial.suggest_int("depth", 1, 8),
            "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        }

    def measures(self, config: Any) -> dict[str, float]:
        return {"parameter_count": 9.0 * config["width"] ** 2 * config["depth"]}

    def curve(self, config: Any) -> tuple[np.ndarray, np.ndarray]:
        size, epochs = math.log(self.measures(config)["parameter_count"]), np.arange(1, EPOCHS + 1)
        top = (
            0.3
            + 0.04 * size
            - 0.15 * (math.log10(config["rate"]) + 2.5) ** 2
            - 0.01 * abs(config["depth"] - 5)
        )
        return top * (1.0 - np.exp(-epochs / 5.0)), epochs.astype(float)


def bounded(seed: int, bounds: Bounds = SMALL, **settings: Any) -> Strategy:
    objectives = Objectives.named(["val_accuracy"], bounds)
    return Strategy.for_space(SmallOrGood().space, EPOCHS, seed, objectives=objectives, **settings)


def found(strategy: Strategy, seed: int) -> float:
    """The best value within the bound, in the time of 15 full trainings on each of 4 workers."""
    result = simulate(strategy, SmallOrGood(), 4, 15.0 * EPOCHS, seed, ClusterConditions(bounds=SMALL))
    return result.incumbents[-1].value if result.incumbents else 0.0


def test_a_search_within_bounds_finds_the_optimum_that_one_without_misses() -> None:
    within = [found(bounded(seed, max_trials=60), seed) for seed in range(3)]
    without = [found(bounded(seed, Bounds(), max_trials=60), seed) for seed in range(3)]
    # 0.3 + 0.04 log(1e5) is the most that keeps the bound, a learning rate of 0.003 and a depth of 5 given.
    assert min(within) > 0.68 and max(within) <= 0.761
    assert max(without) < min(within)


@pytest.mark.parametrize("sampler", ["stacked", "random", "tpe"])
def test_proposals_learn_to_keep_the_bounds_with_any_sampler(sampler: str) -> None:
    strategy, box = bounded(0, sampler=sampler, max_trials=60), SmallOrGood()
    result = simulate(strategy, box, 4, 1e9)
    assert result.trials == 60
    sizes = [box.measures(strategy.state(f"t{n:05d}").config)["parameter_count"] for n in range(60)]
    late = [size <= 1e5 for size in sizes[20:]]
    assert sum(late) > 0.7 * len(late), "one random proposal in four would keep it"


def test_a_trial_beyond_a_bound_is_not_trained_and_is_no_failure() -> None:
    strategy, box = bounded(0, max_trials=20), SmallOrGood()
    result = simulate(strategy, box, 2, 1e9)
    states = [strategy.state(f"t{n:05d}") for n in range(20)]
    beyond = [one for one in states if box.measures(one.config)["parameter_count"] > 1e5]
    assert beyond and all((one.outcome, one.epoch) == (Outcome.STOPPED, -1) for one in beyond)
    assert result.epochs == sum(one.epoch for one in states if one.epoch > 0)


def test_a_bounded_search_is_replayed_exactly() -> None:
    box, running, order = SmallOrGood(), [], []
    unbroken = bounded(3)
    reports: list[EpochReport] = []
    records: dict[str, TrialRecord] = {}

    def ended(name: str, config: Any, outcome: Outcome, measures: dict[str, float]) -> None:
        records[name] = TrialRecord(name, config, outcome, {}, len(reports), len(order), measures)
        order.append(name)

    for _ in range(400):
        if len(running) < 4 and (proposal := unbroken.ask()) is not None:
            running.append(proposal)
            records[proposal.trial_id] = TrialRecord(*proposal, None)
        name, config = running.pop(len(reports) % len(running))
        measures, epoch = box.measures(config), 1 + max(0, unbroken.state(name).epoch)
        if measures["parameter_count"] > 1e5:
            unbroken.measured(name, measures)
            unbroken.finish(name, Outcome.STOPPED)
            ended(name, config, Outcome.STOPPED, measures)
            continue
        metrics = {"val_accuracy": float(box.curve(config)[0][epoch - 1]), **measures}
        reports.append(EpochReport(name, epoch, metrics))
        unbroken.report(reports[-1])
        if (outcome := unbroken.state(name).outcome) is None:
            running.append((name, config))
        else:
            ended(name, config, outcome, measures)
    replayed = bounded(3)
    assert replayed.replay(reports, reversed(records.values())) == {}
    assert [replayed.ask() for _ in range(12)] == [unbroken.ask() for _ in range(12)]


def test_what_was_measured_first_counts_and_what_is_unknown_is_no_evidence() -> None:
    known = BoundedMetrics(Bounds((Bound("latency_ms", greatest=5.0), Bound("val_loss", greatest=1.0))))
    for number in range(4):
        known.add(number, {"latency_ms": 1.0 + number, "parameter_count": 7.0, "val_loss": 2.0})
    known.add(0, {"latency_ms": 99.0})
    known.add(9, {})
    known.add(8, {"latency_ms": math.nan})
    (latency,) = known.known()
    assert {n: round(math.exp(value), 6) for n, value in latency.values.scores.items()} == {
        0: 1,
        1: 2,
        2: 3,
        3: 4,
    }


def test_a_validation_metric_is_compared_at_the_highest_rung_that_has_enough_values() -> None:
    known = BoundedMetrics(Bounds((Bound("val_auc", least=0.9),)))
    for number in range(5):
        known.add(number, {"val_auc": 0.5}, rung_epoch=1)
    for number in range(3):
        known.add(number, {"val_auc": 0.8}, rung_epoch=3)
    known.add(0, {"val_auc": 0.95}, rung_epoch=9)
    (auc,) = known.known()
    assert auc.values.epoch == 3 and auc.values.scores == {0: 0.8, 1: 0.8, 2: 0.8}


def test_a_trade_off_within_bounds_weighs_each_proposal_of_the_model_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    propose = RungModel.propose

    def counted(model: RungModel, *given: Any) -> Any:
        asked.append(1)
        return propose(model, *given)

    monkeypatch.setattr(RungModel, "propose", counted)
    objectives = Objectives.named(["val_accuracy", "parameter_count"], SMALL)
    strategy, box = Strategy.for_space(SmallOrGood().space, 3, 0, objectives=objectives), SmallOrGood()
    for _ in range(40):
        proposal = strategy.ask()
        assert proposal is not None
        measures = box.measures(proposal.config)
        strategy.measured(proposal.trial_id, measures)
        if not SMALL.are_kept(measures):
            strategy.finish(proposal.trial_id, Outcome.STOPPED)
            continue
        for epoch in range(1, 4):
            metrics = {"val_accuracy": float(box.curve(proposal.config)[0][epoch - 1]), **measures}
            strategy.report(EpochReport(proposal.trial_id, epoch, metrics))
    assert 10 < len(asked) <= 40
