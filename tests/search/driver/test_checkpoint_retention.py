"""Which trials keep their checkpoints when they have ended, and for how long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toprung.search.driver.checkpoint_retention import CheckpointRetention, trials_with_checkpoint
from toprung.search.loop.trial_state import ActiveTrial, TrialEnd
from toprung.trainables.trial.messages import TrialStart, Worker
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore

ACCURACY = Objective.named("val_accuracy")
COMPLETED = TrialEnd(Outcome.COMPLETED, "trained all 1 epochs", trained_fully=True)
STOPPED = TrialEnd(Outcome.STOPPED, "cut")


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(f"{tmp_path}/checkpoints")


def trial_of(number: int, pid: int = 1) -> ActiveTrial:
    start = TrialStart(f"t{number:05d}", number, 0, {"rate": 0.5})
    reports = [EpochReport(start.trial_id, 1, {"val_accuracy": 0.5})]
    return ActiveTrial(start, reports, worker=Worker("node", pid))


def save(store: CheckpointStore, number: int) -> None:
    store.save(Checkpoint(f"t{number:05d}", 1, "", (), {"weights": np.zeros(1000)}))
    store.wait()


def complete(
    retention: CheckpointRetention, store: CheckpointStore, number: int, best: float | None, pid: int = 1
) -> None:
    """A trial trains to its end, and leaves its checkpoint."""
    save(store, number)
    retention.keep(trial_of(number, pid), best)
    settle(store)


def stop(retention: CheckpointRetention, store: CheckpointStore, number: int, pid: int = 1) -> None:
    """A trial is stopped at a rung while its worker still writes its checkpoint."""
    retention.delete(trial_of(number, pid))
    settle(store)
    save(store, number)


def settle(store: CheckpointStore) -> None:
    """Return when what is deleted in the background is gone: writes and deletions are done in order."""
    save(store, 99_999)
    store.drop({"t99999"})


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize(("metric", "best"), [("val_accuracy", "t00001"), ("val_loss", "t00002")])
def test_the_best_trial_keeps_its_checkpoint_whatever_the_quota(
    store, tmp_path: Path, metric: str, best: str
) -> None:
    retention = CheckpointRetention(store, Objective.named(metric), max_bytes=1)
    for number, value in enumerate([0.5, 0.9, 0.2, None, 0.7]):
        complete(retention, store, number, value)
    assert kept(tmp_path) == sorted({best, "t00004"}), "the best, and the one that has just completed"


def test_the_best_trial_of_an_earlier_driver_is_kept_too(store, tmp_path: Path) -> None:
    earlier = {"t00000": 0.9, "t00001": 0.5}
    for number, value in enumerate(earlier.values()):
        complete(CheckpointRetention(store, ACCURACY), store, number, value)
    complete(CheckpointRetention(store, ACCURACY, max_bytes=1, kept=earlier), store, 2, 0.6)
    assert kept(tmp_path) == ["t00000", "t00002"]


def test_trials_that_trained_fully_keep_theirs_and_stopped_ones_where_the_job_asks_for_it(store) -> None:
    for keep_stopped in (False, True):
        retention = CheckpointRetention(store, ACCURACY, keep_stopped=keep_stopped)
        assert retention.keeps(trial_of(0), COMPLETED)
        assert retention.keeps(trial_of(0), TrialEnd(Outcome.STOPPED, "no better", trained_fully=True))
        assert retention.keeps(trial_of(0), STOPPED) == keep_stopped
        assert not retention.keeps(ActiveTrial(TrialStart("t00000", 0, 0, {})), STOPPED), "it has none"
        assert not retention.keeps(trial_of(0), TrialEnd(Outcome.OOM, "no room"))


def test_a_checkpoint_that_came_after_its_trial_was_stopped_goes_with_its_workers_next_trial(
    store, tmp_path: Path
) -> None:
    retention = CheckpointRetention(store, ACCURACY)
    for number in range(3):
        stop(retention, store, number)
    stop(retention, store, 3, pid=2)
    assert kept(tmp_path) == ["t00002", "t00003"], "one a worker"
    complete(retention, store, 4, 0.5)
    assert kept(tmp_path) == ["t00003", "t00004"]


def test_what_stopped_trials_left_goes_before_any_completed_checkpoint(store, tmp_path: Path) -> None:
    save(store, 9)
    size = (tmp_path / "checkpoints" / "t00009.npz").stat().st_size
    store.keep_only(frozenset())
    retention = CheckpointRetention(store, ACCURACY, max_bytes=3 * size)
    complete(retention, store, 0, 0.5, pid=1)
    complete(retention, store, 1, 0.9, pid=2)
    for worker in (3, 4):
        stop(retention, store, worker, worker)
    complete(retention, store, 5, 0.7, pid=5)
    assert kept(tmp_path) == ["t00000", "t00001", "t00005"]


def test_the_trials_with_a_checkpoint_are_read_in_the_order_they_ended() -> None:
    trials = pd.DataFrame(
        {
            "trial_id": ["t00000", "t00001", "t00002", "t00003"],
            "checkpoint": ["a.npz", None, "c.npz", "d.npz"],
            "best_val_accuracy": [0.5, 0.9, float("nan"), 0.7],
            "ended_at": pd.to_datetime(["2026-01-04", "2026-01-01", "2026-01-03", "2026-01-02"]),
        }
    )
    found = trials_with_checkpoint(trials, "val_accuracy")
    assert list(found.items()) == [("t00003", 0.7), ("t00002", None), ("t00000", 0.5)]
    assert trials_with_checkpoint(trials[:0], "val_accuracy") == {}
