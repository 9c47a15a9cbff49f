"""A trial with `patience_epochs` ends by its own curve, is never called complete, and keeps its best state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.search.driver.budgets import BudgetLimits
from toprung.search.driver.search_loop import SearchLoop
from toprung.search.driver.trial_state import ActiveTrial
from toprung.search.strategy.strategy import Decision, Strategy, TrialRecord
from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.patience import patience_stop_reason
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trial_runner import Rules, TrialRun

MAX_EPOCHS = 9
CURVE = [
    0.1,
    0.3,
    0.5,
    0.4,
    0.5,
    0.45,
    0.9,
    0.9,
    0.9,
]  # the best before three worse epochs is that of epoch 3


class Facts:
    """An observer that keeps how trials end."""

    def __init__(self) -> None:
        self.ends: dict[str, tuple[Outcome, str]] = {}

    def proposed(self, start: TrialStart, why: str) -> None: ...

    def reported(self, report: EpochReport, decision: Decision) -> None: ...

    def ended(self, trial: ActiveTrial, outcome: Outcome, reason: str, error: str) -> None:
        self.ends[trial.start.trial_id] = (outcome, reason)


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.0, 1.0), "patience_epochs": 3}


def reports(count: int, trial_id: str = "t00000") -> list[EpochReport]:
    return [
        EpochReport(trial_id, epoch, {"val_accuracy": CURVE[epoch - 1]}, 1.0, float(epoch))
        for epoch in range(1, count + 1)
    ]


def new_loop(facts: Facts, strategy: Strategy, **settings: Any) -> SearchLoop:
    limits = {
        "metric": "val_accuracy",
        "mode": "max",
        "max_epochs": MAX_EPOCHS,
        "seed": 0,
        "limits": BudgetLimits(),
    }
    return SearchLoop(strategy, facts, **{**limits, **settings})


def test_it_ends_as_stopped_at_the_first_epoch_that_waited_long_enough() -> None:
    facts = Facts()
    loop = new_loop(facts, Strategy.for_space(space, MAX_EPOCHS, 0, max_trials=1, sampler="random"))
    start = loop.next_trial()
    assert start is not None
    decisions = [loop.report(start.trial_id, EpochResult(report)) for report in reports(6, start.trial_id)]
    assert decisions == [Decision.KEEP] * 5 + [Decision.STOP]
    why = "no better val_accuracy in 3 epochs; the best is that of epoch 3"
    assert facts.ends[start.trial_id] == (Outcome.STOPPED, why)


def test_nobody_loses_patience_before_the_first_rung() -> None:
    for first_rung, ended in [(1, 6), (6, 6), (7, MAX_EPOCHS), (MAX_EPOCHS, MAX_EPOCHS)]:
        strategy = Strategy.for_space(
            space, MAX_EPOCHS, 0, max_trials=1, sampler="random", min_epochs=first_rung
        )
        facts = Facts()
        loop = new_loop(facts, strategy)
        start = loop.next_trial()
        assert start is not None
        told = reports(MAX_EPOCHS, start.trial_id)
        decisions = [loop.report(start.trial_id, EpochResult(report)) for report in told]
        assert decisions.index(Decision.STOP) + 1 == ended
        outcome = Outcome.COMPLETED if ended == MAX_EPOCHS else Outcome.STOPPED
        assert facts.ends[start.trial_id][0] is outcome


def test_a_search_killed_before_it_wrote_the_end_ends_the_trial_alike() -> None:
    strategy = Strategy.for_space(space, MAX_EPOCHS, 0, max_trials=1, sampler="random")
    facts = Facts()
    loop = new_loop(facts, strategy)
    start = loop.next_trial()
    assert start is not None
    again = Strategy.for_space(space, MAX_EPOCHS, 0, max_trials=1, sampler="random")
    told = reports(6, start.trial_id)
    assert again.replay(told, [TrialRecord(start.trial_id, start.config, None)]) == {}
    resumed, later = ActiveTrial(start, list(told)), Facts()
    loop = new_loop(later, again, unfinished=[resumed])
    assert loop.next_trial() == start
    # Its newest state on storage may be an earlier one than the tables know of.
    assert loop.report(start.trial_id, EpochResult(told[3])) is Decision.STOP
    assert later.ends[start.trial_id][0] is Outcome.STOPPED
    assert later.ends[start.trial_id][1].startswith("no better val_accuracy in 3 epochs")


@pytest.mark.parametrize(("patience", "ends_at"), [(0, None), (1, 4), (2, 5), (3, 6), (5, None)])
def test_equal_is_not_better_and_zero_waits_for_ever(patience: int, ends_at: int | None) -> None:
    config = {"patience_epochs": patience}
    ended = [n for n in range(1, 10) if patience_stop_reason(reports(n), config, "val_accuracy", "max")]
    assert (ended[0] if ended else None) == ends_at
    assert patience_stop_reason(reports(2), {"patience_epochs": 1}, "val_accuracy", "min") is not None


class _Recording:
    """A trainer whose values are those of `CURVE` and whose state is its epoch."""

    parameter_count = 1
    computation, computed = ExecutionPlan(), None

    def reset(self, config: Any, seed: int) -> None:
        self.epoch = 0

    def train_epoch(self, epoch: int) -> dict[str, float]:
        self.epoch = epoch
        return {"val_accuracy": CURVE[epoch - 1]}

    def latency_ms(self) -> float:
        return 1.0

    def take_costs(self) -> ResourceUsage:
        return ResourceUsage()

    def state(self) -> dict[str, np.ndarray]:
        return {"epoch": np.asarray(self.epoch)}

    def load_state(self, state: Any) -> None:
        self.epoch = int(state["epoch"])


class _Source:
    def trainer(self, config: Any, computation: Any, least_parts: int) -> Any:
        return _Recording()

    def take_startup_secs(self) -> float:
        return 0.0

    def make_room(self) -> None: ...


def test_the_best_state_is_saved_and_no_epoch_is_trained_past_the_end(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    rules = Rules(MAX_EPOCHS, frozenset({1, 9}), checkpoint_secs=1e9, report_secs=1e9)
    run = TrialRun(_Source(), store, rules)
    run.begin(TrialStart("t00000", 0, 0, {"patience_epochs": 3}))
    first = run.step()
    assert first.report is not None and first.report.epoch == 1, first.error
    told = run.step()
    assert told.report is not None and told.report.epoch == 6
    run.end()
    best = store.load_best("t00000", run.identity)
    assert best is not None and best.epoch == 3


def test_a_worker_trains_on_to_the_first_rung_whatever_the_curve_does(tmp_path: Path) -> None:
    rules = Rules(MAX_EPOCHS, frozenset({MAX_EPOCHS}), checkpoint_secs=1e9, report_secs=1e9)
    run = TrialRun(_Source(), CheckpointStore(str(tmp_path)), rules)
    run.begin(TrialStart("t00000", 0, 0, {"patience_epochs": 3}))
    told = run.step()
    assert told.report is not None and told.report.epoch == MAX_EPOCHS
    run.end()
