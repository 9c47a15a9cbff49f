"""A search loop with bounds: a trial that is not trained, the leader within them, and both after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from toprung.results.analysis.leaderboard import leaderboard
from toprung.results.tables.parts import read_reports, read_tables
from toprung.results.tables.schema import run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.checkpoint_retention import CheckpointRetention
from toprung.search.driver.recorder import Recorder, SharedFacts
from toprung.search.driver.resume import RecordedSearch, resume
from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.search.runs.trial_records import records_of
from toprung.search.strategy.strategy import Decision, Strategy
from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore

BOUNDS = Bounds((Bound("latency_ms", greatest=5.0), Bound("val_loss", greatest=1.0)))
OBJECTIVES = Objectives.named(["val_accuracy"], BOUNDS)


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


@contextmanager
def driver(root: Path) -> Iterator[SearchLoop]:
    strategy = Strategy.for_space(space, 9, 0, objectives=OBJECTIVES, max_trials=50)
    resumed = resume(strategy, RecordedSearch.read(root), OBJECTIVES.main)
    retention = CheckpointRetention(CheckpointStore(str(root / "checkpoints")), OBJECTIVES.main)
    with RunWriter(root, run_schemas({"x": "float"}, OBJECTIVES)) as writer:
        shared = SharedFacts(OBJECTIVES, data_fingerprint="f", cpus=1.0, gpus=0.0)
        recorder = Recorder(writer, strategy, retention, shared, resumed)
        settings = LoopSettings(OBJECTIVES.main, max_epochs=9, bounds=BOUNDS)
        yield SearchLoop(strategy, recorder, settings, resumed)


def started(loop: SearchLoop) -> TrialStart:
    start = loop.next_trial()
    assert start is not None
    return start


def report(loop: SearchLoop, start: TrialStart, epoch: int, accuracy: float, loss: float) -> Decision:
    metrics = {"val_accuracy": accuracy, "val_loss": loss, "latency_ms": 3.0}
    reported = EpochReport(start.trial_id, epoch, metrics, 1.0, float(epoch))
    return loop.report(start.trial_id, EpochResult(reported, model_measures={"latency_ms": 3.0}))


def not_trained(loop: SearchLoop, start: TrialStart, latency_ms: float) -> Decision:
    measures = {"latency_ms": latency_ms}
    reason = f"not trained: {BOUNDS.broken_in_words(measures)}"
    result = EpochResult(None, failure=Outcome.STOPPED, reason=reason, model_measures=measures)
    return loop.report(start.trial_id, result)


def test_the_tables_tell_how_far_each_trial_is_beyond_the_bounds(tmp_path: Path) -> None:
    with driver(tmp_path) as loop:
        first, second, third = (started(loop) for _ in range(3))
        assert not_trained(loop, first, 7.5) is Decision.STOP
        report(loop, second, 1, 0.9, 1.5)
        assert loop.leader is None, "its loss is beyond the bound"
        report(loop, second, 2, 0.4, 0.8)
        report(loop, third, 1, 0.7, 1.1)
        assert loop.leader is not None and (loop.leader.trial_id, loop.leader.value) == ("t00001", 0.4)
        assert loop.usage.best == 0.4 and loop.outcomes == {Outcome.STOPPED: 1}
        assert loop.abort_reason is None
        loop.close()
    proposals, epochs, trials = read_tables(tmp_path)
    rows = trials.set_index("trial_id")
    assert rows.loc["t00000", ["violation", "latency_ms", "last_epoch"]].tolist() == [0.5, 7.5, 0]
    assert rows.loc["t00000", "reason"] == "not trained: latency_ms 7.5 (50.0% beyond 5)"
    best = rows.loc["t00001", ["best_val_accuracy", "best_epoch", "violation", "val_loss", "latency_ms"]]
    assert best.tolist() == [0.4, 2, 0.0, 0.8, 3.0], "the first epoch was better and beyond a bound"
    assert rows.loc["t00002", "violation"] == 0.1 or abs(rows.loc["t00002", "violation"] - 0.1) < 1e-9
    assert epochs["violation"].round(6).tolist() == [0.5, 0.0, 0.1]
    board = leaderboard(proposals, epochs, trials, OBJECTIVES)
    assert board["trial_id"].tolist() == ["t00001", "t00002", "t00000"]
    assert board["latency_ms"].tolist() == [3.0, 3.0, 7.5]


def test_a_search_that_goes_on_knows_what_was_measured_and_who_leads(tmp_path: Path) -> None:
    with driver(tmp_path) as loop:
        for number in range(8):
            start = started(loop)
            if number % 2:
                not_trained(loop, start, 6.0 + number)
            else:
                for epoch in range(1, 10):
                    if report(loop, start, epoch, 0.1 * number, 2.0 if number > 4 else 0.5) is Decision.STOP:
                        break
        expected = loop.leader, loop.usage.best, loop.outcomes
        upcoming = [started(loop).config for _ in range(3)]
    for table in ("proposals",):  # those were asked for to see what an unbroken search would propose
        part = tmp_path / table
        assert len(pd.read_parquet(part)) == 11
    proposals, _, trials = read_tables(tmp_path)
    strategy = Strategy.for_space(space, 9, 0, objectives=OBJECTIVES, max_trials=50)
    strategy.replay(read_reports(tmp_path), records_of(proposals[proposals["number"] < 8], trials))
    strategy.weighs_time = True
    assert [strategy.ask().config for _ in range(3)] == upcoming
    with driver(tmp_path) as again:
        assert (again.leader, again.usage.best, again.outcomes) == expected
        assert again.leader is not None and again.leader.trial_id == "t00004"
