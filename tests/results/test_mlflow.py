"""MLflow as users meet it: a SQLite file beside the tables, found after a kill, silent on the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from results.mlflow_runs import MlflowRuns, Tracking, TrialNews, quiet_client
from results.tracking import Tracker
from trainables.report import Outcome

pytestmark = pytest.mark.slow


@pytest.fixture
def tracking(tmp_path: Path) -> Tracking:
    return Tracking(f"sqlite:///{tmp_path}/mlflow.db", "digits", run="quick start's run")


def tell(tracker: Tracker, rows: dict[str, list[dict[str, Any]]]) -> None:
    for row in rows["proposals"]:
        tracker.proposed(row)
    for row in rows["epochs"]:
        tracker.reported(row)
    for row in rows["trials"]:
        tracker.ended(row)


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


def test_a_search_is_one_parent_and_one_child_a_trial(tracking: Tracking, search: Any) -> None:
    best = search.trial([0.5, 0.75])
    cut = search.trial([0.25], Outcome.STOPPED)
    bad = search.trial([0.5, float("nan")], Outcome.DIVERGED)
    live = search.trial([0.5], None)
    tracker = Tracker(tracking)
    tell(tracker, search.rows)
    assert tracker.close("FINISHED", {"best_val_accuracy": 0.75})
    parent, children = runs_of(tracking)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"best_val_accuracy": 0.75}
    statuses = {trial_id: run.info.status for trial_id, run in children.items()}
    assert statuses == {best: "FINISHED", cut: "KILLED", bad: "FAILED", live: "RUNNING"}
    assert children[bad].data.tags["toprung.outcome"] == "DIVERGED"
    assert children[best].data.params == {"learning_rate": "0.1", "optimizer": "adam", "seed": "0"}
    assert steps(tracking, children[best], "val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert steps(tracking, children[bad], "val_accuracy") == [(1, 0.5)], "no NaN on the charts"


def test_what_a_killed_driver_missed_is_caught_up_and_nothing_twice(tracking: Tracking, search: Any) -> None:
    whole = search.trial([0.5, 0.75])
    partly = search.trial([0.25, 0.5, 0.75])
    runs = MlflowRuns(tracking)
    proposals, epochs, trials = (search.rows[name] for name in ("proposals", "epochs", "trials"))
    runs.write(whole, TrialNews(proposals[0], {1: epochs[0], 2: epochs[1]}, trials[0]))
    runs.write(partly, TrialNews(proposals[1], {1: epochs[2]}))
    missed = search.trial([0.125])
    for _ in range(2):
        tracker = Tracker(tracking)
        tracker.catch_up(*(pd.DataFrame(search.rows[name]) for name in ("proposals", "epochs", "trials")))
        assert tracker.close()
    _, children = runs_of(tracking)
    assert set(children) == {whole, partly, missed}
    assert steps(tracking, children[whole], "val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert steps(tracking, children[partly], "val_accuracy") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert steps(tracking, children[missed], "val_accuracy") == [(1, 0.125)]
    assert children[partly].data.params["momentum"] == "0.9"
    assert {run.info.status for run in children.values()} == {"FINISHED"}


def test_a_trial_with_more_values_than_a_batch_takes_is_logged_whole(tracking: Tracking, search: Any) -> None:
    long = search.trial([epoch / 1000 for epoch in range(600)])
    tracker = Tracker(tracking)
    tell(tracker, search.rows)
    assert tracker.close()
    _, children = runs_of(tracking)
    assert len(steps(tracking, children[long], "val_accuracy")) == 600


def test_nothing_appears_on_the_terminal_or_in_the_working_directory(tmp_path: Path) -> None:
    program = f"""
import logging; logging.basicConfig(level=logging.INFO)
from results.mlflow_runs import Tracking
from results.rows import proposal_row
from results.tracking import Tracker
tracker = Tracker(Tracking("sqlite:///{tmp_path}/run/mlflow.db", "x", "r"))
tracker.proposed(proposal_row("t00000", {{"a": 1}}, 0))
assert tracker.close()
"""
    (tmp_path / "run").mkdir()
    (tmp_path / "work").mkdir()
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "work", capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_server_that_is_down_costs_one_warning_and_no_exception(search: Any) -> None:
    search.trial([0.5])
    heard: list[str] = []
    down = Tracking("http://127.0.0.1:9", "x", "r")  # the discard port: refused at once
    tracker = Tracker(down, warn=heard.append, period_secs=0.1)
    tell(tracker, search.rows)
    assert not tracker.close(timeout_secs=5.0)
    assert len([line for line in heard if "does not answer" in line]) == 1
    assert heard[-1].endswith("the tables have all of it")
