"""What a driver left in its tables is all that the next one needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toprung.results.tables.parts import read_reports, read_table
from toprung.results.tables.schema import PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.checkpoint_retention import CheckpointRetention
from toprung.search.driver.recorder import Recorder, SharedFacts
from toprung.search.driver.resume import RecordedSearch, resume
from toprung.search.loop.trial_state import ActiveTrial
from toprung.search.preparation.prepare import config_kinds
from toprung.search.runs.trial_records import records_of
from toprung.search.strategy.strategy import Strategy
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport
from toprung.trainables.worker.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from pathlib import Path

OBJECTIVES = Objectives.named(["val_accuracy"])


def derived(trial: Any) -> dict[str, Any]:
    """Nothing in the configuration is what was suggested: one name is another, one value is another."""
    return {
        "units": 2 ** trial.suggest_int("log_units", 3, 9),
        "rate": 10 ** trial.suggest_float("rate", -5, -1),
    }


def interrupted_search(root: Path, trials: int) -> Strategy:
    """A search that trained some trials and was killed."""
    strategy = Strategy.for_space(derived, 3, 0)
    retention = CheckpointRetention(CheckpointStore(f"{root}/checkpoints"), OBJECTIVES.main)
    with RunWriter(root, run_schemas(config_kinds(derived))) as writer:
        shared = SharedFacts(OBJECTIVES, data_fingerprint="", cpus=1.0, gpus=0.0)
        recorder = Recorder(writer, strategy, retention, shared)
        for number in range(trials):
            trial_id, config = strategy.ask()
            trial = ActiveTrial(TrialStart(trial_id, number, 0, config))
            recorder.proposed(trial.start, "drawn")
            for epoch in (1, 2, 3):
                report = EpochReport(trial_id, epoch, {"val_accuracy": -abs(config["rate"] - 0.01)})
                decision = strategy.report(report)
                recorder.reported(trial, report, decision)
                if decision != "KEEP":
                    break
    return strategy


def test_a_space_that_computes_with_what_was_suggested_is_resumed_with_all_its_evidence(
    tmp_path: Path,
) -> None:
    unbroken = interrupted_search(tmp_path, 20)
    resumed = Strategy.for_space(derived, 3, 0)
    resume(resumed, RecordedSearch.read(tmp_path), OBJECTIVES.main)
    assert [resumed.ask() for _ in range(3)] == [unbroken.ask() for _ in range(3)]


def test_a_warm_start_learns_from_a_space_that_computes_with_what_was_suggested(tmp_path: Path) -> None:
    interrupted_search(tmp_path, 6)
    records = records_of(read_table(tmp_path, PROPOSALS), read_table(tmp_path, TRIALS))
    assert Strategy.for_space(derived, 3, 0).warm_start(read_reports(tmp_path), records) == 6
