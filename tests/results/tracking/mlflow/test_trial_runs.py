"""MLflow as users meet it: a SQLite file beside the tables, found after a kill, silent on the terminal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from toprung.results.tables.rows import proposal_row
from toprung.results.tables.run_lock import RunLock
from toprung.results.tracking.catch_up import bring_up_to_date, catch_up
from toprung.results.tracking.mlflow.trial_runs import MlflowRuns
from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.search_history import SearchHistory
from toprung.results.tracking.tracker import Tracker
from toprung.results.tracking.tracking_settings import Tracking
from toprung.results.tracking.trial_entries import PendingTrialUpdate
from toprung.trainables.trial.report import Outcome

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ENDED_AT = datetime(2026, 3, 1, 13, 30, tzinfo=UTC)

pytestmark = pytest.mark.slow


def test_a_search_is_one_parent_and_one_child_a_trial(tracking, search, run, written) -> None:
    best = search.trial([0.5, 0.75])
    cut = search.trial([0.25], Outcome.STOPPED)
    bad = search.trial([0.5, 0.99, float("nan")], Outcome.DIVERGED)
    late = search.trial([0.5], Outcome.TIMEOUT)
    live = search.trial([0.5], None)
    run.write()
    assert run.tracked(tracking, end=SearchEnd("FINISHED", ENDED_AT, "time budget was spent"))
    found = written(tracking)
    statuses = {trial_id: run.info.status for trial_id, run in found.children.items()}
    assert statuses == {best: "FINISHED", cut: "FINISHED", bad: "FAILED", late: "KILLED", live: "KILLED"}
    assert found.children[cut].data.tags["toprung.outcome"] == "STOPPED"
    assert found.children[bad].data.tags["toprung.reason"] == "because DIVERGED"
    assert found.children[best].data.params == {"learning_rate": "0.1", "optimizer": "adam", "seed": "0"}
    assert found.steps(best, "val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert found.steps(bad, "val_accuracy") == [(1, 0.5), (2, 0.99)], "no NaN on the charts"
    shown = found.children[best].data.metrics
    expected = {"best_val_accuracy": 0.75, "best_epoch": 2.0, "parameter_count": 1234.0, "train_secs": 2.0}
    assert {name: shown[name] for name in expected} == expected


def test_the_parent_carries_the_job_the_space_the_best_and_the_times(tracking, search, run, written) -> None:
    best = search.trial([0.5, 0.75])
    search.trial([0.99, float("nan")], Outcome.DIVERGED)
    run.write()
    assert run.tracked(tracking, end=SearchEnd("FINISHED", ENDED_AT))
    parent = written(tracking).parent
    assert parent.data.params == {"range.learning_rate": "0.1 to 0.2"}
    assert parent.data.tags["toprung.job"] == "name: quickstart\n"
    assert parent.data.tags["toprung.best_trial"] == best
    assert parent.data.metrics == {
        "best_val_accuracy": 0.75, "best_epoch": 2.0, "trials_completed": 1.0, "trials_diverged": 1.0
    }  # fmt: skip
    assert (parent.info.status, parent.info.end_time) == ("FINISHED", int(ENDED_AT.timestamp() * 1000))
    assert parent.info.start_time == int(START.timestamp() * 1000)


def test_a_search_that_is_continued_keeps_its_start(tracking, search, run, written) -> None:
    search.trial([0.5])
    search.trial([0.5], None)
    run.write()
    assert run.tracked(tracking, end=SearchEnd("KILLED", ENDED_AT))
    search.go_on("t00001", [0.5, 0.875], first_epoch=2)
    run.write()
    later = ENDED_AT + timedelta(hours=1)
    assert run.tracked(tracking, end=SearchEnd("FINISHED", later))
    found = written(tracking)
    assert found.parent.data.metrics["best_val_accuracy"] == 0.875
    assert (found.parent.info.status, found.parent.info.end_time) == (
        "FINISHED",
        int(later.timestamp() * 1000),
    )
    assert found.parent.info.start_time == int(START.timestamp() * 1000)
    assert found.steps("t00001", "val_accuracy") == [(1, 0.5), (2, 0.875)]
    assert found.children["t00001"].info.status == "FINISHED"


def test_what_a_killed_driver_missed_is_caught_up_and_nothing_twice(tracking, search, run, written) -> None:
    whole = search.trial([0.5, 0.75])
    partly = search.trial([0.25, 0.5, 0.75])
    runs = MlflowRuns(tracking, SearchHistory(None).facts())
    proposals, epochs, trials = (search.rows[name] for name in ("proposals", "epochs", "trials"))
    runs.write(whole, PendingTrialUpdate(proposals[0], {1: epochs[0], 2: epochs[1]}, trials[0]))
    runs.write(partly, PendingTrialUpdate(proposals[1], {1: epochs[2]}))
    missed = search.trial([0.125])
    run.write()
    for _ in range(2):
        assert run.tracked(tracking)
    found = written(tracking)
    assert set(found.children) == {whole, partly, missed}
    assert found.steps(whole, "val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert found.steps(partly, "val_accuracy") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert found.steps(missed, "val_accuracy") == [(1, 0.125)]
    assert found.children[partly].data.params["momentum"] == "0.9"
    assert {run.info.status for run in found.children.values()} == {"FINISHED"}


def test_a_retraining_writes_what_is_missing_unless_a_search_is_at_it(tracking, search, run, written) -> None:
    trials = {search.trial([0.5]), search.trial([0.25]), search.trial([0.25]), search.trial([0.125])}
    run.write()
    database = Path(tracking.uri.removeprefix("sqlite:///"))
    database.unlink()
    with RunLock(run.folder):
        catch_up(tracking, run.folder)
        assert not database.exists()
    for _ in range(2):
        catch_up(tracking, run.folder)
    found = written(tracking)
    assert set(found.children) == trials
    assert found.parent.info.status == "FINISHED", "all four trials of the job have ended"


def test_a_sync_says_how_many_runs_it_wrote_and_a_second_one_finds_none(tracking, search, run) -> None:
    search.trial([0.5])
    search.trial([0.25], None)
    run.write()
    first, second = (bring_up_to_date(tracking, run.folder) for _ in range(2))
    assert (first.runs, first.written, first.refused) == (3, 3, {})
    assert first.end.status == "KILLED", "a trial has not ended"
    assert (second.runs, second.written, second.end) == (3, 0, first.end)


def test_a_search_without_a_trial_is_written_once(tracking, run) -> None:
    run.folder.mkdir()
    reports = [bring_up_to_date(tracking, run.folder) for _ in range(2)]
    assert [(report.runs, report.written, report.end.status) for report in reports] == [
        (1, 1, "KILLED"),
        (1, 0, "KILLED"),
    ]


def test_a_recorded_end_outlives_a_retraining(tracking, search, run, written) -> None:
    search.trial([0.5])
    run.write()
    end = SearchEnd("KILLED", ENDED_AT, "interrupted")
    end.write(run.folder)
    catch_up(tracking, run.folder)
    parent = written(tracking).parent
    assert (parent.info.status, parent.info.end_time) == ("KILLED", int(ENDED_AT.timestamp() * 1000))
    assert parent.data.tags["toprung.ended_because"] == "interrupted"


def test_runs_of_one_name_share_a_server_and_no_trial(tracking, search, run, written) -> None:
    search.trial([0.5])
    run.write()
    bring_up_to_date(tracking, run.folder)
    other = replace(tracking, identity="another")
    report = bring_up_to_date(other, run.folder)
    assert (report.runs, report.written) == (2, 2)


def test_runs_that_a_late_answer_made_twice_are_deleted(tracking, search, run, written) -> None:
    search.trial([0.5, 0.75])
    run.write()
    bring_up_to_date(tracking, run.folder)
    found = written(tracking)
    for copied in (found.parent, found.children["t00000"]):
        found.client.create_run(copied.info.experiment_id, tags=copied.data.tags, start_time=1)
    assert bring_up_to_date(tracking, run.folder).written == 0
    assert written(tracking).steps("t00000", "val_accuracy") == [(1, 0.5), (2, 0.75)]


def test_names_and_texts_of_any_kind_are_taken(tracking, search, run, written) -> None:
    odd = {"lr[0]": 0.1, "../up": 1, "": 2, "text": "a\0b", "long": "x" * 9000}
    proposal = proposal_row("t00000", odd, 0, reason="\ud800")
    MlflowRuns(tracking, SearchHistory(None).facts()).write("t00000", PendingTrialUpdate(proposal))
    params = written(tracking).children["t00000"].data.params
    assert params["lr_0_"] == "0.1"
    assert len(params["long"]) == 6000
    assert len(params) == 6


def test_a_trial_with_more_values_than_a_batch_takes_is_logged_whole(tracking, search, written) -> None:
    long = search.trial([epoch / 1000 for epoch in range(600)])
    epochs = {row["epoch"]: row for row in search.rows["epochs"]}
    MlflowRuns(tracking, SearchHistory(None).facts()).write(
        long, PendingTrialUpdate(search.rows["proposals"][0], epochs, search.rows["trials"][0])
    )
    found = written(tracking)
    assert len(found.steps(long, "val_accuracy")) == 600
    assert found.children[long].info.status == "FINISHED"


def test_nothing_appears_on_the_terminal_or_in_the_working_directory(tmp_path: Path, run) -> None:
    program = f"""
import logging; logging.basicConfig(level=logging.INFO)
from toprung.results.tracking.tracking_settings import Tracking
from toprung.results.tracking.mlflow.sqlite import ensure_database
from toprung.results.tracking.tracker import Tracker
tracker = Tracker(Tracking("sqlite:///{run.folder}/mlflow.db", "x", "r"), "{run.folder}")
assert tracker.close(timeout_secs=120.0)
assert tracker.close(), "twice is no error"
"""
    run.search.trial([0.5])
    run.write()
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "work", capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_server_that_is_down_costs_one_note_and_no_exception(run) -> None:
    run.search.trial([0.5])
    run.write()
    down = Tracking("http://127.0.0.1:9", "x", "r")  # the discard port: refused at once
    assert not run.tracked(down, period_secs=1.0)
    assert len([line for line in run.heard if "does not answer" in line]) == 1
    assert run.heard[0].startswith("MLflow at http://127.0.0.1:9 does not answer (Connection refused)")
    assert f"`toprung sync '{run.folder}'` writes the rest" in run.heard[-1].replace(
        str(run.folder), f"'{run.folder}'"
    )


def test_a_killed_driver_leaves_no_process_behind(tmp_path: Path, run) -> None:
    program = f"""
import time
from toprung.results.tracking.tracking_settings import Tracking
from toprung.results.tracking.mlflow.sqlite import ensure_database
from toprung.results.tracking.tracker import Tracker
tracker = Tracker(Tracking("sqlite:///{run.folder}/mlflow.db", "x", "r"), "{run.folder}")
print(tracker.pid, flush=True)
time.sleep(600)
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[4], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    writer = psutil.Process(int(driver.stdout.readline()))
    driver.kill()
    driver.wait()
    assert psutil.wait_procs([writer], timeout=60)[1] == []


def test_a_run_folder_that_goes_away_costs_one_note(run, tracking) -> None:
    run.search.trial([0.5])
    run.write()
    gone = Tracking(f"sqlite:///{run.folder}/mlflow.db", "x", "r")
    tracker = Tracker(gone, run.folder, run.heard.append, period_secs=0.1)
    shutil.rmtree(run.folder)
    tracker.close(timeout_secs=20.0)
    assert all(line.startswith("MLflow at ") and "Traceback" not in line for line in run.heard)
