"""MLflow as users meet it: a SQLite file beside the tables, found after a kill, silent on the terminal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from toprung.results.tables.rows import config_of
from toprung.results.tables.run_lock import RunLock
from toprung.results.tables.schema import kinds_of, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.results.tracking.mirror import catch_up
from toprung.results.tracking.mlflow_runs import MlflowRuns, PendingTrialUpdate, Tracking, quiet_client
from toprung.results.tracking.mlflow_sqlite import ensure_database
from toprung.results.tracking.tracker import Tracker
from toprung.trainables.trial.report import Outcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's file with its tables, which take a second to make."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    ensure_database(f"sqlite:///{path}")
    return path


@pytest.fixture
def tracking(empty_database: Path, tmp_path: Path) -> Tracking:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Tracking(f"sqlite:///{tmp_path}/mlflow.db", "digits", run="quick start's run")


class Run:
    """A run's folder, its tables filled with a small search's rows, and its MLflow."""

    def __init__(self, folder: Path, search: Any) -> None:
        self.folder, self.search = folder, search
        self.heard: list[str] = []

    def write(self) -> None:
        """Put all rows into the tables."""
        kinds = kinds_of(map(config_of, self.search.rows["proposals"]))
        with RunWriter(self.folder, run_schemas(kinds)) as writer:
            for table, rows in self.search.rows.items():
                for row in rows:
                    writer.append(table, row)

    def tracked(self, tracking: Tracking, **closing: Any) -> bool:
        """Let MLflow follow until it has everything, or for `timeout_secs`."""
        patient = {"timeout_secs": 120.0, **closing}
        return Tracker(tracking, self.folder, self.heard.append, period_secs=0.1).close(**patient)


@pytest.fixture
def run(tmp_path: Path, search: Any) -> Run:
    return Run(tmp_path / "run", search)


def runs_of(tracking: Tracking) -> tuple[Any, dict[str, Any]]:
    client = quiet_client(tracking.uri)
    experiment = client.get_experiment_by_name(tracking.experiment)
    runs = client.search_runs([experiment.experiment_id])
    children = {r.data.tags["toprung.trial_id"]: r for r in runs if "toprung.trial_id" in r.data.tags}
    (parent,) = [r for r in runs if "toprung.run" in r.data.tags]
    return parent, children


def steps(tracking: Tracking, run: Any, key: str) -> list[tuple[int, float]]:
    history = quiet_client(tracking.uri).get_metric_history(run.info.run_id, key)
    return [(metric.step, metric.value) for metric in history]


def test_a_search_is_one_parent_and_one_child_a_trial(tracking: Tracking, search: Any, run: Run) -> None:
    best = search.trial([0.5, 0.75])
    cut = search.trial([0.25], Outcome.STOPPED)
    bad = search.trial([0.5, float("nan")], Outcome.DIVERGED)
    live = search.trial([0.5], None)
    run.write()
    assert run.tracked(
        tracking, status="FINISHED", metrics={"best_val_accuracy": 0.75, "worst": float("nan")}
    )
    parent, children = runs_of(tracking)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"best_val_accuracy": 0.75}
    statuses = {trial_id: run.info.status for trial_id, run in children.items()}
    assert statuses == {best: "FINISHED", cut: "KILLED", bad: "FAILED", live: "RUNNING"}
    assert children[bad].data.tags["toprung.outcome"] == "DIVERGED"
    assert children[best].data.params == {"learning_rate": "0.1", "optimizer": "adam", "seed": "0"}
    assert steps(tracking, children[best], "val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert steps(tracking, children[bad], "val_accuracy") == [(1, 0.5)], "no NaN on the charts"


def test_what_a_killed_driver_missed_is_caught_up_and_nothing_twice(
    tracking: Tracking, search: Any, run: Run
) -> None:
    whole = search.trial([0.5, 0.75])
    partly = search.trial([0.25, 0.5, 0.75])
    runs = MlflowRuns(tracking)
    proposals, epochs, trials = (search.rows[name] for name in ("proposals", "epochs", "trials"))
    runs.write(whole, PendingTrialUpdate(proposals[0], {1: epochs[0], 2: epochs[1]}, trials[0]))
    runs.write(partly, PendingTrialUpdate(proposals[1], {1: epochs[2]}))
    missed = search.trial([0.125])
    run.write()
    for _ in range(2):
        assert run.tracked(tracking)
    _, children = runs_of(tracking)
    assert set(children) == {whole, partly, missed}
    assert steps(tracking, children[whole], "val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert steps(tracking, children[partly], "val_accuracy") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert steps(tracking, children[missed], "val_accuracy") == [(1, 0.125)]
    assert children[partly].data.params["momentum"] == "0.9"
    assert {run.info.status for run in children.values()} == {"FINISHED"}


def test_a_retraining_writes_what_is_missing_unless_a_search_is_at_it(
    tracking: Tracking, search: Any, run: Run
) -> None:
    trials = {search.trial([0.5]), search.trial([0.25])}
    run.write()
    database = Path(tracking.uri.removeprefix("sqlite:///"))
    database.unlink()
    with RunLock(run.folder):
        catch_up(tracking, run.folder)
        assert not database.exists()
    for _ in range(2):
        catch_up(tracking, run.folder)
    parent, children = runs_of(tracking)
    assert set(children) == trials
    assert parent.info.status == "FINISHED"


def test_a_trial_with_more_values_than_a_batch_takes_is_logged_whole(
    tracking: Tracking, search: Any, run: Run
) -> None:
    long = search.trial([epoch / 1000 for epoch in range(600)])
    epochs = {row["epoch"]: row for row in search.rows["epochs"]}
    MlflowRuns(tracking).write(
        long, PendingTrialUpdate(search.rows["proposals"][0], epochs, search.rows["trials"][0])
    )
    _, children = runs_of(tracking)
    assert len(steps(tracking, children[long], "val_accuracy")) == 600
    assert children[long].info.status == "FINISHED"


def test_nothing_appears_on_the_terminal_or_in_the_working_directory(tmp_path: Path, run: Run) -> None:
    program = f"""
import logging; logging.basicConfig(level=logging.INFO)
from toprung.results.tracking.mlflow_runs import Tracking
from toprung.results.tracking.mlflow_sqlite import ensure_database
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


def test_a_server_that_is_down_costs_one_note_and_no_exception(run: Run) -> None:
    run.search.trial([0.5])
    run.write()
    down = Tracking("http://127.0.0.1:9", "x", "r")  # the discard port: refused at once
    assert not run.tracked(down, timeout_secs=10.0)
    assert len([line for line in run.heard if "does not answer" in line]) == 1
    assert run.heard[0].startswith("MLflow at http://127.0.0.1:9 does not answer (")
    assert "the tables have all of it" in run.heard[-1]


def test_a_killed_driver_leaves_no_process_behind(tmp_path: Path, run: Run) -> None:
    program = f"""
import time
from toprung.results.tracking.mlflow_runs import Tracking
from toprung.results.tracking.mlflow_sqlite import ensure_database
from toprung.results.tracking.tracker import Tracker
tracker = Tracker(Tracking("sqlite:///{run.folder}/mlflow.db", "x", "r"), "{run.folder}")
print(tracker.pid, flush=True)
time.sleep(600)
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    writer = psutil.Process(int(driver.stdout.readline()))
    driver.kill()
    driver.wait()
    assert psutil.wait_procs([writer], timeout=60)[1] == []


def test_a_run_folder_that_goes_away_costs_one_note(run: Run, tracking: Tracking) -> None:
    run.search.trial([0.5])
    run.write()
    gone = Tracking(f"sqlite:///{run.folder}/mlflow.db", "x", "r")
    tracker = Tracker(gone, run.folder, run.heard.append, period_secs=0.1)
    shutil.rmtree(run.folder)
    tracker.close(timeout_secs=20.0)
    assert all(line.startswith("MLflow at ") and "Traceback" not in line for line in run.heard)
