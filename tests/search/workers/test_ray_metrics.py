"""The numbers that a search hands to Ray are those of its loop."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from toprung.search.loop.trial_state import Leader
from toprung.search.workers.ray_metrics import SearchCounts
from toprung.trainables.trial.report import Outcome


def counts_of(leader: Leader | None) -> SearchCounts:
    loop: Any = SimpleNamespace(
        outcomes=Counter({Outcome.COMPLETED: 3, Outcome.OOM: 1}), usage=SimpleNamespace(epochs=40), preemptions=2,
        leader=leader, metric="val_loss",
    )  # fmt: skip
    dispatcher: Any = SimpleNamespace(connected=5)
    demand: Any = SimpleNamespace(wanted=6)
    return SearchCounts(loop, dispatcher, demand)


def test_trials_are_counted_by_outcome_and_the_best_value_names_its_metric() -> None:
    counts = counts_of(Leader("t00003", 2, 0.75))
    assert counts.counters() == {
        ("toprung_trials", ("outcome", "COMPLETED")): 3.0,
        ("toprung_trials", ("outcome", "OOM")): 1.0,
        ("toprung_epochs", ("outcome", "")): 40.0,
        ("toprung_preemptions", ("outcome", "")): 2.0,
    }
    assert counts.gauges() == {
        ("toprung_best_value", ("metric", "val_loss")): 0.75,
        ("toprung_workers", ("metric", "")): 5.0,
        ("toprung_workers_wanted", ("metric", "")): 6.0,
    }


def test_before_the_first_result_there_is_no_best_value() -> None:
    assert {name for name, _ in counts_of(None).gauges()} == {"toprung_workers", "toprung_workers_wanted"}
