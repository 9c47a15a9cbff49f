"""The simulator's clock and book-keeping, on curves known by heart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from toprung.results.tables.rows import TrialFacts, rows_table, trial_row
from toprung.results.tables.schema import kinds_of, trials_schema
from toprung.search.simulation.blackbox import TableBlackbox
from toprung.search.simulation.simulator import ClusterConditions, SimResult, simulate
from toprung.search.strategy.strategy import Decision, Proposal, Strategy, trial_id
from toprung.trainables.trial.report import EpochReport, Outcome


class Connection:
    """Curves that reach x after ten epochs of one second."""

    max_epochs = 10

    def space(self, trial: Any) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0.0, 1.0)}

    def curve(self, config: Any) -> tuple[np.ndarray, np.ndarray]:
        return config["x"] * np.linspace(0.1, 1.0, 10), np.arange(1.0, 11.0)


class KeepAll:
    """Proposes x = 0, 0.1, ... and stops nothing; remembers what it was told."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.asked = 0
        self.reports: list[EpochReport] = []
        self.ended: dict[str, Outcome] = {}

    def ask(self) -> Proposal | None:
        if self.asked == self.trials:
            return None
        self.asked += 1
        return Proposal(trial_id(self.asked - 1), {"x": (self.asked - 1) / 10})

    def report(self, report: EpochReport) -> Decision:
        self.reports.append(report)
        return Decision.KEEP

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        self.ended[trial_id] = outcome


def test_workers_share_the_trials_and_the_clock_adds_up() -> None:
    policy = KeepAll(5)
    result = simulate(policy, Connection(), workers=2, budget_secs=1e9)
    assert (result.trials, result.epochs, result.busy_secs) == (5, 50, 50.0)
    assert result.end_secs == 30.0  # five trials of ten seconds on two workers: three rounds
    assert set(policy.ended.values()) == {Outcome.COMPLETED}
    assert [report.epoch for report in policy.reports if report.trial_id == "t00000"] == list(range(1, 11))


def test_nothing_after_the_budget_counts() -> None:
    result = simulate(KeepAll(5), Connection(), workers=1, budget_secs=14.5)
    assert (result.epochs, result.end_secs) == (14, 14.0)


def test_the_incumbent_is_the_best_value_so_far() -> None:
    result = simulate(KeepAll(3), Connection(), workers=1, budget_secs=1e9)
    values = [incumbent.value for incumbent in result.incumbents]
    assert values == sorted(set(values))
    last = result.incumbent_at(1e9)
    assert last is not None and (last.trial_id, last.epoch, last.value) == ("t00002", 10, pytest.approx(0.2))
    before = result.incumbent_at(15.0)
    assert before is not None and before.trial_id == "t00001"
    assert result.incumbent_at(0.5) is None


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_the_incumbent_is_the_best_by_what_the_strategy_searches_for(metric: str) -> None:
    strategy = Strategy.for_space(
        Connection().space, 10, 0, "min", metric=metric, sampler="random", max_trials=20
    )
    values = [incumbent.value for incumbent in simulate(strategy, Connection(), 2, 1e9).incumbents]
    assert len(values) > 1
    assert values == sorted(values, reverse=True)


def test_curves_may_be_lists_and_longer_than_the_strategy_trains() -> None:
    class Lists(Connection):
        def curve(self, config: Any) -> Any:
            return tuple(map(list, super().curve(config)))

    strategy = Strategy.for_space(Connection().space, 4, 0, sampler="random", max_trials=9)
    result = simulate(strategy, Lists(), 2, 1e9)
    assert max(incumbent.epoch for incumbent in result.incumbents) == 4
    assert Outcome.COMPLETED in result.outcomes.values()


def test_events_at_the_same_moment_keep_the_order_in_which_they_were_made() -> None:
    policy = KeepAll(4)
    simulate(policy, Connection(), workers=4, budget_secs=2.0)
    assert [(report.trial_id, report.epoch) for report in policy.reports] == [
        (f"t0000{number}", epoch) for epoch in (1, 2) for number in range(4)
    ]


def test_starting_costs_time_and_stragglers_take_longer() -> None:
    slow = ClusterConditions(
        worker_startup_secs=5.0, trial_startup_secs=2.0, straggler_share=1.0, straggler_factor=3.0
    )
    result = simulate(KeepAll(2), Connection(), workers=1, budget_secs=1e9, conditions=slow)
    assert result.end_secs == 5.0 + 2 * (2.0 + 30.0)


def test_failures_reach_the_policy_and_their_share_is_as_asked() -> None:
    policy = KeepAll(400)
    conditions = ClusterConditions(failure_share=0.25)
    result = simulate(policy, Connection(), workers=8, budget_secs=1e9, seed=1, conditions=conditions)
    failed = sum(outcome is Outcome.FAILED for outcome in result.outcomes.values())
    # Binomial of 400 trials: mean 100, deviation sqrt(400 * 0.25 * 0.75) = 8.7; five deviations either way.
    assert 56 < failed < 144
    assert result.outcomes == policy.ended


def test_the_same_seed_gives_the_same_run() -> None:
    def run() -> SimResult:
        strategy = Strategy.for_space(Connection().space, 10, 4)
        return simulate(
            strategy, Connection(), 3, 200.0, 4, ClusterConditions(failure_share=0.1, straggler_share=0.1)
        )

    assert run() == run()


@pytest.mark.parametrize("variant", ["stop", "promote"])
def test_halving_finds_a_good_line_with_less_than_full_training(variant: str) -> None:
    strategy = Strategy.for_space(Connection().space, 10, 0, variant=variant, max_trials=60)
    result = simulate(strategy, Connection(), 4, 1e9)
    best = result.incumbent_at(1e9)
    # The best of 60 even random draws falls below 0.9 once in 560 (0.9^60 = 0.0018); the model only adds to that.
    assert best is not None and best.config["x"] > 0.9
    assert result.epochs < 60 * 10 / 2


def test_a_promoted_trial_goes_on_where_it_paused() -> None:
    strategy = Strategy.for_space(Connection().space, 10, 0, variant="promote", max_trials=9)
    told: dict[str, list[int]] = {}
    report = strategy.report

    def watched(one: EpochReport) -> Decision:
        told.setdefault(one.trial_id, []).append(one.epoch)
        return report(one)

    strategy.report = watched  # type: ignore[method-assign]
    simulate(strategy, Connection(), 2, 1e9)
    assert all(epochs == list(range(1, len(epochs) + 1)) for epochs in told.values())
    assert max(map(len, told.values())) > 1


def test_a_finished_run_is_a_blackbox() -> None:
    epochs = pd.DataFrame(
        [
            {"trial_id": f"t0000{number}", "epoch": epoch, "val_accuracy": height * epoch, "epoch_secs": 2.0}
            for number, (height, length) in enumerate([(0.1, 4), (0.2, 4), (0.05, 2)])
            for epoch in range(1, length + 1)
        ]
    )
    trials = pd.DataFrame(
        {
            "trial_id": ["t00000", "t00001", "t00002"],
            "config/rate": [0.1, 0.01, 0.001],
            "config/family": ["wide", "wide", "deep"],
        }
    )
    box = TableBlackbox.from_tables(Connection().space, epochs, trials)
    values, elapsed = box.curve({"rate": 0.02, "family": "wide"})
    assert values.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert elapsed.tolist() == [2.0, 4.0, 6.0, 8.0]
    # The trial that stopped after two epochs goes on by the average gain of the two that went further, 0.15 an epoch.
    assert box.curve({"rate": 0.001, "family": "deep"})[0].tolist() == pytest.approx([0.05, 0.1, 0.25, 0.4])


def test_choices_of_several_types_are_told_apart() -> None:
    """They do not fit one column, and stand in `extra`; None is a choice like any other."""
    configs: list[dict[str, Any]] = [{"depth": "all"}, {"depth": 1}, {"depth": None}]
    rows = [
        trial_row(f"t{number:05d}", config, Outcome.COMPLETED, [], TrialFacts())
        for number, config in enumerate(configs)
    ]
    trials = rows_table(rows, trials_schema(kinds_of(configs))).to_pandas()
    epochs = pd.DataFrame(
        {"trial_id": trials["trial_id"], "epoch": 1, "val_accuracy": [0.1, 0.2, 0.3], "epoch_secs": 1.0}
    )
    box = TableBlackbox.from_tables(Connection().space, epochs, trials)
    assert [float(box.curve(config)[0][0]) for config in configs] == [0.1, 0.2, 0.3]


def test_a_run_is_not_taken_to_find_what_it_has_not_seen() -> None:
    lengths = {"t00000": (0.9, 4), "t00001": (0.85, 1)}
    epochs = pd.DataFrame(
        [
            {"trial_id": name, "epoch": epoch, "val_accuracy": min(last, 0.3 * epoch), "epoch_secs": 1.0}
            for name, (last, length) in lengths.items()
            for epoch in range(1, length + 1)
        ]
    )
    epochs.loc[epochs["trial_id"] == "t00001", "val_accuracy"] = 0.85
    trials = pd.DataFrame({"trial_id": list(lengths), "config/rate": [0.1, 0.001]})
    values, _ = TableBlackbox.from_tables(Connection().space, epochs, trials).curve({"rate": 0.001})
    assert values.tolist() == pytest.approx([0.85, 0.9, 0.9, 0.9])


def test_an_empty_run_says_that_there_is_nothing_to_simulate_from() -> None:
    empty = pd.DataFrame({"trial_id": [], "epoch": [], "val_accuracy": [], "epoch_secs": []})
    with pytest.raises(ValueError, match="no epoch of any trial"):
        TableBlackbox.from_tables(Connection().space, empty, pd.DataFrame({"trial_id": []}))
