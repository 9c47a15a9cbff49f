"""Earlier runs as evidence: used where they agree with the new one, left out where they do not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from toprung.search.strategy.early_stopping.asha import SuccessiveHalving
from toprung.search.strategy.strategy import Strategy, TrialRecord
from toprung.search.strategy.warm_start import WarmStart
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCHS = 9


def plane(trial: Any) -> dict[str, Any]:
    return {name: trial.suggest_float(name, 0.0, 1.0) for name in ("x", "y")}


def height(config: Any, at: float, epoch: int) -> float:
    return float((1.0 - (config["x"] - at) ** 2 - (config["y"] - at) ** 2) * epoch / EPOCHS)


def earlier_run(at: float, trials: int = 40) -> tuple[list[EpochReport], list[TrialRecord]]:
    """A random search on a peak at (at, at)."""
    drawn = Strategy.for_space(plane, EPOCHS, 99, sampler="random")
    records = [TrialRecord(*drawn.ask(), None) for _ in range(trials)]
    reports = [
        EpochReport(record.trial_id, epoch, {"val_accuracy": height(record.config, at, epoch)})
        for record in records
        for epoch in (1, 3, 9)
    ]
    return reports, records


def run(strategy: Strategy, at: float, trials: int) -> list[dict[str, Any]]:
    configs = []
    for _ in range(trials):
        trial_id, config = strategy.ask()
        configs.append(config)
        for epoch in range(1, EPOCHS + 1):
            if (
                strategy.report(EpochReport(trial_id, epoch, {"val_accuracy": height(config, at, epoch)}))
                != "KEEP"
            ):
                break
    return configs


def test_the_first_proposals_already_lie_where_earlier_runs_were_good() -> None:
    strategy = Strategy.for_space(plane, EPOCHS, 0)
    assert strategy.warm_start(*earlier_run(at=0.8)) == 40
    near = [
        abs(config["x"] - 0.8) < 0.25 and abs(config["y"] - 0.8) < 0.25 for config in run(strategy, 0.8, 12)
    ]
    # The square around the peak is a fifth of the plane (0.45^2): blind, 7 or more of 12 come there once in 300 runs.
    assert sum(near) >= 7


def test_an_earlier_run_that_agrees_is_said_to_help() -> None:
    strategy = Strategy.for_space(plane, EPOCHS, 0)
    strategy.warm_start(*earlier_run(at=0.8))
    run(strategy, 0.8, 40)
    assert [note.partition(":")[0] for note in strategy.notes()] == ["earlier runs help"]


def test_an_earlier_run_that_misleads_is_left_out_and_the_peak_found_all_the_same() -> None:
    strategy = Strategy.for_space(plane, EPOCHS, 0)
    strategy.warm_start(*earlier_run(at=0.0))
    configs = run(strategy, 1.0, 80)
    assert any(note.startswith("earlier runs mislead") for note in strategy.notes())
    assert max(height(config, 1.0, EPOCHS) for config in configs) > 0.98


def test_where_nothing_is_left_to_choose_its_one_configuration_is_proposed_once() -> None:
    def settled(trial: Any) -> dict[str, Any]:
        return {"x": trial.suggest_categorical("x", ["only"]), "y": 0.5}

    records = [TrialRecord(f"t{number:05d}", {"x": "only", "y": 0.5}, None) for number in range(6)]
    reports = [EpochReport(record.trial_id, 1, {"val_accuracy": 0.5}) for record in records]
    strategy = Strategy.for_space(settled, EPOCHS, 0)
    assert strategy.warm_start(reports, records) == 6
    assert [strategy.ask(), strategy.ask()] == [("t00000", {"x": "only", "y": 0.5}), None]


def test_trials_the_changed_space_does_not_allow_are_passed_over() -> None:
    def narrower(trial: Any) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0.5, 1.0), "y": trial.suggest_float("y", 0.0, 1.0)}

    reports, records = earlier_run(at=0.8)
    strategy = Strategy.for_space(narrower, EPOCHS, 0)
    assert strategy.warm_start(reports, records) == sum(record.config["x"] >= 0.5 for record in records)
    assert all(config["x"] >= 0.5 for config in run(strategy, 0.8, 5))


def test_a_replayed_warm_start_goes_on_as_the_unbroken_one() -> None:
    made = []
    for _ in range(2):
        strategy = Strategy.for_space(plane, EPOCHS, 0)
        strategy.warm_start(*earlier_run(at=0.8))
        made.append(strategy)
    unbroken, rebuilt = made
    records, reports = [], []
    for _ in range(12):
        trial_id, config = unbroken.ask()
        records.append(TrialRecord(trial_id, config, None))
        reports.append(EpochReport(trial_id, 1, {"val_accuracy": height(config, 0.8, 1)}))
        unbroken.report(reports[-1])
    rebuilt.replay(reports, records)
    assert [rebuilt.ask() for _ in range(4)] == [unbroken.ask() for _ in range(4)]


def warm_start(*metrics: str) -> WarmStart:
    return WarmStart(plane, SuccessiveHalving((1, 3, 9)), Objectives.named(metrics or ["val_accuracy"]))


def record(number: int, x: float, **others: Any) -> TrialRecord:
    return TrialRecord(f"t{number:05d}", {"x": x, "y": 0.5}, Outcome.COMPLETED, **others)


def accuracy(number: int, epoch: int, value: float) -> EpochReport:
    return EpochReport(f"t{number:05d}", epoch, {"val_accuracy": value})


def test_trials_of_earlier_runs_are_numbered_downwards_over_all_runs() -> None:
    earlier = warm_start()
    assert earlier.add([accuracy(0, 1, 0.5), accuracy(1, 1, 0.7)], [record(0, 0.1), record(1, 0.2)]) == 2
    assert earlier.add([accuracy(0, 1, 0.9)], [record(0, 0.3)]) == 1
    assert {number: point.params["x"] for number, point in earlier.points.items()} == {
        -1: 0.1,
        -2: 0.2,
        -3: 0.3,
    }
    assert [rung.scores for rung in earlier.rungs] == [{-1: 0.5, -2: 0.7, -3: 0.9}]


def test_results_count_at_the_rungs_of_this_run() -> None:
    earlier = warm_start()
    earlier.add([accuracy(0, epoch, epoch / 10) for epoch in (1, 2, 3, 5)], [record(0, 0.1)])
    assert [(rung.epoch, rung.scores) for rung in earlier.rungs] == [(1, {-1: 0.1}), (3, {-1: 0.3})]


@pytest.mark.parametrize(
    "report",
    [
        EpochReport("t00000", 1, {"val_accuracy": math.nan}),
        EpochReport("t00000", 1, {"val_accuracy": 0.5, "val_loss": math.inf}),
        EpochReport("t00000", 1, {"val_loss": 0.5}),
        EpochReport("t00007", 1, {"val_accuracy": 0.5}),
    ],
    ids=["not a number", "an infinite metric", "without the objective", "of an unknown trial"],
)
def test_a_report_that_says_nothing_of_the_objective_is_ignored(report: EpochReport) -> None:
    earlier = warm_start()
    assert earlier.add([report], [record(0, 0.1)]) == 1
    assert earlier.rungs == []


def test_a_run_that_lacks_one_of_several_objectives_has_no_results() -> None:
    earlier = warm_start("val_accuracy", "latency_ms")
    assert earlier.add([accuracy(0, 1, 0.5)], [record(0, 0.1)]) == 1
    assert earlier.rungs == []


def test_a_trial_outside_the_space_leaves_no_point_and_no_result() -> None:
    earlier = warm_start()
    assert earlier.add([accuracy(0, 1, 0.9), accuracy(1, 1, 0.7)], [record(0, 1.5), record(1, 0.2)]) == 1
    assert list(earlier.points) == [-1]
    assert [rung.scores for rung in earlier.rungs] == [{-1: 0.7}]


def test_a_trial_is_found_by_the_parameters_that_its_configuration_does_not_hold() -> None:
    def derived(trial: Any) -> dict[str, Any]:
        return {"units": 2 ** trial.suggest_int("log_units", 3, 9)}

    earlier = WarmStart(derived, SuccessiveHalving((1, 3, 9)), Objectives.named(["val_accuracy"]))
    found = TrialRecord("t00000", {"units": 64}, Outcome.COMPLETED, {"log_units": 6})
    assert earlier.add([], [found, TrialRecord("t00001", {"units": 64}, Outcome.COMPLETED)]) == 1
    assert earlier.points[-1].params == {"log_units": 6}
