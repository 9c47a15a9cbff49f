"""What the tables hold of a trial: its proposal, its epochs with the search's notes, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toprung.results.tables.parts import read_table
from toprung.results.tables.schema import EPOCHS, PROPOSALS, RUNGS, TRIALS, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.checkpoint_retention import CheckpointRetention
from toprung.search.driver.recorder import Recorder, SharedFacts
from toprung.search.loop.trial_state import ActiveTrial, ResumedState, TrialEnd
from toprung.search.strategy.strategy import Decision, Strategy
from toprung.trainables.trial.execution import ExecutionRecord
from toprung.trainables.trial.messages import TrialStart, Worker
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore

OBJECTIVES = Objectives.named(["val_accuracy", "latency_ms"])


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    schemas = run_schemas({"rate": "float"}, OBJECTIVES)
    with RunWriter(tmp_path, schemas) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(f"{tmp_path}/checkpoints")


@pytest.fixture
def strategy() -> Strategy:
    searching = Strategy.for_space(
        lambda trial: {"rate": trial.suggest_float("rate", 0, 1)}, 3, seed=0, objectives=OBJECTIVES
    )
    for _ in range(3):
        searching.ask()
    return searching


def recorder_of(
    writer: RunWriter, strategy: Strategy, store: CheckpointStore, resumed: ResumedState | None = None
) -> Recorder:
    shared = SharedFacts(OBJECTIVES, data_fingerprint="f", cpus=2.0, gpus=0.5)
    return Recorder(writer, strategy, CheckpointRetention(store, OBJECTIVES.main), shared, resumed)


def trial_of(number: int) -> ActiveTrial:
    trial_id = f"t{number:05d}"
    metrics = [{"val_accuracy": 0.5, "latency_ms": 7.0}, {"val_accuracy": 0.4, "latency_ms": 8.0}]
    reports = [EpochReport(trial_id, epoch, metrics[epoch - 1], 1.0, float(epoch)) for epoch in (1, 2)]
    return ActiveTrial(TrialStart(trial_id, number, 77, {"rate": 0.5}), reports, worker=Worker("node", 12))


def test_a_trials_row_tells_where_it_ran_and_how_it_was_computed(writer, strategy, store, tmp_path) -> None:
    recorder, trial = recorder_of(writer, strategy, store), trial_of(0)
    trial.resource_usage = ResourceUsage(build_secs=3.0, rss_bytes=5)
    trial.execution = ExecutionRecord("cpu", "float32", xla=False, steps_per_call=4)
    recorder.proposed(trial.start, "random")
    recorder.ended(trial, TrialEnd(Outcome.OOM, "no room", "Traceback ..."))
    writer.flush()
    row = read_table(tmp_path, TRIALS).iloc[0]
    assert (row["outcome"], row["reason"], row["error"]) == ("OOM", "no room", "Traceback ...")
    assert (row["best_val_accuracy"], row["best_epoch"], row["latency_ms"]) == (0.5, 1, 7.0)
    assert (row["seed"], row["cpus"], row["gpus"], row["data_fingerprint"]) == (77, 2.0, 0.5, "f")
    assert (row["worker_node"], row["worker_pid"], row["build_secs"]) == ("node", 12, 3.0)
    assert (row["device"], row["steps_per_call"]) == ("cpu", 4)
    assert row["started_at"] == read_table(tmp_path, PROPOSALS).iloc[0]["proposed_at"]
    assert row["ended_at"] >= row["started_at"]


def test_only_a_trial_that_trained_fully_keeps_its_checkpoint(writer, strategy, store, tmp_path) -> None:
    recorder = recorder_of(writer, strategy, store)
    ends = [
        TrialEnd(Outcome.COMPLETED, "trained all 2 epochs", trained_fully=True),
        TrialEnd(Outcome.STOPPED, "cut"),
    ]
    for number, end in enumerate(ends):
        store.save(Checkpoint(f"t{number:05d}", 1, "", (), {}))
        store.wait()
        recorder.ended(trial_of(number), end)
    writer.flush()
    assert list(read_table(tmp_path, TRIALS)["checkpoint"].notna()) == [True, False]
    store.save(Checkpoint("t00002", 1, "", (), {}))  # after what is deleted in the background
    store.wait()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["t00000.npz", "t00002.npz"]


def test_rows_of_epochs_go_on_where_an_earlier_driver_stopped(writer, strategy, store, tmp_path) -> None:
    recorder = recorder_of(writer, strategy, store, ResumedState(next_arrival_index=7))
    trial = trial_of(0)
    recorder.reported(trial, trial.reports[0], Decision.KEEP)
    recorder.reported(trial, trial.reports[1], Decision.STOP)
    writer.flush()
    rows = read_table(tmp_path, EPOCHS)
    assert list(zip(rows["arrival_index"], rows["decision"].str.upper(), strict=True)) == [
        (7, "KEEP"),
        (8, "STOP"),
    ]


def test_what_the_strategy_finds_out_stands_once_beside_the_epoch_that_told_it(
    writer, strategy, store, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = ["known before"]
    monkeypatch.setattr(strategy, "notes", lambda: list(notes))
    recorder = recorder_of(writer, strategy, store)
    for epoch, new in enumerate([["first rung raised", "a prior dropped"], []], start=1):
        notes.extend(new)
        recorder.reported(trial_of(0), report_of(epoch), Decision.KEEP)
    writer.flush()
    rows = read_table(tmp_path, EPOCHS)
    assert rows["search_note"].iloc[0] == "first rung raised; a prior dropped"
    assert rows["search_note"].isna().tolist() == [False, True]


def test_a_decision_at_a_rung_is_written_after_its_epoch_though_it_was_made_before_another_epoch_was_written(
    writer, strategy, store, tmp_path
) -> None:
    recorder = recorder_of(writer, strategy, store)
    last = strategy.rung_epochs[-1]
    reports = [
        report_of(epoch, trial_id) for trial_id in ("t00000", "t00001") for epoch in range(1, last + 1)
    ]
    decisions = [strategy.report(report) for report in reports]
    written = []
    for report, decision in zip(reports, decisions, strict=True):
        recorder.reported(trial_of(0), report, decision)
        writer.flush()
        written.append(len(read_table(tmp_path, RUNGS)))
        epochs, rungs = (read_table(tmp_path, table)[["trial_id", "epoch"]] for table in (EPOCHS, RUNGS))
        assert set(rungs.itertuples(index=False)) <= set(epochs.itertuples(index=False))
    assert written[-1] == len(strategy.rung_events()) > written[0]


def report_of(epoch: int, trial_id: str = "t00000") -> EpochReport:
    return EpochReport(trial_id, epoch, {"val_accuracy": 0.5, "latency_ms": 7.0}, 1.0, float(epoch))
