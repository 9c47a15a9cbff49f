"""What a search has used and found is the same after a restart, from its tables alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from toprung.results.tables.parts import part_names, put_part, read_part, read_table
from toprung.results.tables.schema import EPOCHS, PREEMPTIONS, TRIALS, WAIT_SECS, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.checkpoint_retention import CheckpointRetention
from toprung.search.driver.recorder import Recorder, SharedFacts
from toprung.search.driver.resume import RecordedSearch, resume
from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.search.strategy.strategy import Strategy
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.messages import EpochResult
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600.0
OBJECTIVES = Objectives.named(["val_accuracy"])


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


@contextmanager
def driver(root: Path, variant: str = "stop", gpus: float | None = 1.0) -> Iterator[SearchLoop]:
    """A search of up to 100 trials of 9 epochs over the tables in `root`; each trial has a GPU."""
    strategy = Strategy.for_space(space, 9, 0, max_trials=100, variant=variant, sampler="random")
    resumed = resume(strategy, RecordedSearch.read(root), OBJECTIVES.main, gpus)
    retention = CheckpointRetention(CheckpointStore(str(root / "checkpoints")), OBJECTIVES.main)
    with RunWriter(root, run_schemas({"x": "float"})) as writer:
        shared = SharedFacts(OBJECTIVES, data_fingerprint="f", cpus=1.0, gpus=1.0)
        recorder = Recorder(writer, strategy, retention, shared, resumed)
        yield SearchLoop(strategy, recorder, LoopSettings(OBJECTIVES.main, max_epochs=9, gpus=1.0), resumed)


def started(loop: SearchLoop) -> str:
    start = loop.next_trial()
    assert start is not None
    return start.trial_id


def report(loop: SearchLoop, trial_id: str, epoch: int, value: float) -> None:
    loop.report(
        trial_id, EpochResult(EpochReport(trial_id, epoch, {"val_accuracy": value}, HOUR, HOUR * epoch))
    )


@pytest.mark.parametrize("variant", ["stop", "promote"])
def test_gpu_hours_of_trials_that_have_not_ended_are_not_forgotten(tmp_path: Path, variant: str) -> None:
    with driver(tmp_path, variant) as loop:
        for trial in [started(loop) for _ in range(5)]:
            report(loop, trial, 1, 0.5)
        used = loop.usage.gpu_hours
    assert used == pytest.approx(5.0)
    with driver(tmp_path, variant) as again:
        assert again.usage.gpu_hours == pytest.approx(used)


def test_a_share_that_is_measured_counts_as_that_of_the_last_trial_to_end(tmp_path: Path) -> None:
    with driver(tmp_path) as loop:
        first, second = started(loop), started(loop)
        for epoch in range(1, 10):
            report(loop, first, epoch, 0.5)
        report(loop, second, 1, 0.6)
    with driver(tmp_path, gpus=None) as again:
        assert again.usage.gpu_hours == pytest.approx(10.0)


def test_a_slow_leader_that_improves_all_the_time_is_no_plateau_before_or_after_a_restart(
    tmp_path: Path,
) -> None:
    with driver(tmp_path) as loop:
        leader = started(loop)
        report(loop, leader, 1, 0.5)
        for number in range(8):
            report(loop, started(loop), 1, 0.3 - number / 100)
            if number < 6:
                report(loop, leader, 2 + number, 0.6 + number / 50)
        ended = sum(loop.outcomes.values())
        before = loop.usage.trials_since_best
    assert ended > 5, "most of them were cut, each before the leader's next best"
    assert before == 2
    with driver(tmp_path) as again:
        assert again.usage.trials_since_best == before


def test_trials_that_fail_before_their_first_epoch_count_for_a_plateau_after_a_restart_too(
    tmp_path: Path,
) -> None:
    def runs_out_of_memory(loop: SearchLoop) -> None:
        loop.report(started(loop), EpochResult(None, failure=Outcome.OOM, error="no room"))

    with driver(tmp_path) as loop:
        runs_out_of_memory(loop)
        report(loop, started(loop), 1, 0.5)
        for _ in range(3):
            runs_out_of_memory(loop)
        assert loop.usage.trials_since_best == 3
    with driver(tmp_path) as again:
        assert again.usage.trials_since_best == 3


def test_the_trial_that_set_the_best_is_not_one_without_a_new_best(tmp_path: Path) -> None:
    with driver(tmp_path) as loop:
        trial = started(loop)
        for epoch in range(1, 10):
            report(loop, trial, epoch, epoch / 10)
        assert sum(loop.outcomes.values()) == 1
        assert loop.usage.trials_since_best == 0
    with driver(tmp_path) as again:
        assert again.usage.trials_since_best == 0


def test_trials_whose_end_was_lost_with_the_driver_count_for_a_plateau_as_they_did_before(
    tmp_path: Path,
) -> None:
    with driver(tmp_path) as loop:
        for value in (0.3, 0.5, 0.4):
            trial = started(loop)
            for epoch in range(1, 10):
                report(loop, trial, epoch, value)
        assert loop.usage.trials_since_best == 1
    reasons = list(read_table(tmp_path, TRIALS)["reason"])
    storage = Storage.at(tmp_path)
    for part in part_names(storage, TRIALS):  # as if the driver had died before it wrote a row
        put_part(storage, TRIALS, part, read_part(storage, TRIALS, part).rows.slice(0, 0))
    with driver(tmp_path) as again:
        assert sum(again.outcomes.values()) == 3
        assert again.usage.trials_since_best == 1
    assert list(read_table(tmp_path, TRIALS)["reason"]) == reasons


def test_a_search_that_goes_on_counts_on_how_often_nodes_died_under_its_trials(tmp_path: Path) -> None:
    with driver(tmp_path) as loop:
        first, second, untouched = started(loop), started(loop), started(loop)
        loop.preempt(first), loop.wait(first, 2.5)
        for epoch in range(1, 10):
            report(loop, first, epoch, 0.5)
        loop.preempt(second), loop.preempt(second), loop.wait(second, 4.0)
        report(loop, second, 1, 0.6)
        report(loop, untouched, 1, 0.6)
    with driver(tmp_path) as again:
        assert again.preemptions == 3
        again.preempt(second), again.wait(second, 0.5)
        for trial, epoch in ((trial, epoch) for epoch in range(2, 10) for trial in (second, untouched)):
            report(again, trial, epoch, 0.6)
    ended = read_table(str(tmp_path), TRIALS).set_index("trial_id")
    assert ended["preemptions"].to_dict() == {first: 1, second: 3, untouched: 0}
    assert ended["wait_secs"].to_dict() == {first: 2.5, second: 4.5, untouched: 0.0}


def test_a_run_whose_epochs_say_nothing_of_dead_nodes_goes_on(tmp_path: Path) -> None:
    with driver(tmp_path) as loop:
        report(loop, started(loop), 1, 0.5)
    storage = Storage.at(tmp_path)
    for part in part_names(storage, EPOCHS):
        rows = read_part(storage, EPOCHS, part).rows.drop_columns([PREEMPTIONS, WAIT_SECS])
        put_part(storage, EPOCHS, part, rows)
    with driver(tmp_path) as again:
        assert again.preemptions == 0
        again.preempt("t00000")
        report(again, "t00000", 2, 0.5)
    assert read_table(str(tmp_path), EPOCHS)[PREEMPTIONS].iloc[-1] == 1
