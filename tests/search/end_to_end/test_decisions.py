"""What whole searches decide: the same from one seed, promotions, several objectives, as the simulator does."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from run_tables import decided, rows, tables, wait_for
from small_job import write_job

from toprung.results.tables.rows import configs_of
from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import new_strategy, prepared_space
from toprung.search.simulation.simulator import simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


# Slow enough that a second is the middle of something: rows reach the disk once a second.
SLOW = {"filters": 16, "blocks": 2, "convs_per_block": 2}
DECIDED_JOB = {
    "data": {"image_size": 16},
    "search": {"trials": 10, "max_epochs": 9},
    "space": {"fixed": SLOW},
}


@pytest.fixture(scope="module")
def unbroken(cluster, tmp_path_factory) -> Path:
    """The run of a search that was not disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    command = [sys.executable, "-P", "-m", "toprung.search", "search", str(write_job(folder, **DECIDED_JOB))]
    done = subprocess.run(command, env=cluster.joined_env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "small"


def test_a_search_killed_anywhere_and_continued_equals_an_unbroken_one(
    unbroken: Path, toprung, job_file, tmp_path: Path
) -> None:
    job = job_file(**DECIDED_JOB)
    run, moments, kills = tmp_path / "runs" / "small", random.Random(7), 0
    while True:
        command = toprung("search", job)
        # Anywhere in what is left: before Ray is up, between two trials, in the middle of an epoch or of a write.
        known = rows(run, "epochs") if run.exists() else 0
        wait_for(lambda known=known, command=command: command.process.poll() is not None
                 or ((run / "epochs").exists() and rows(run, "epochs") > known))  # fmt: skip
        time.sleep(moments.uniform(0, 1.0))
        if command.process.poll() is not None or kills == 2:
            break
        command.signal(signal.SIGKILL)
        kills += 1
        assert wait_for(lambda command=command: not command.alive(), 30), f"orphans: {command.alive()}"
        for name in ("proposals", "epochs"):
            pd.read_parquet(run / name)
    done = command.wait()
    assert done.returncode == 0, done.stderr
    assert kills == 2
    for mine, theirs in zip(decided(run), decided(unbroken), strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    assert tables(run)["epochs"]["arrival_index"].is_unique


def test_the_promotion_variant_is_really_executed(on_cluster, job_file, tmp_path: Path) -> None:
    job = job_file(search={"trials": 9, "max_epochs": 9, "variant": "promote"})
    assert on_cluster("search", job).wait().returncode == 0
    found = tables(tmp_path / "runs" / "small")
    assert "PAUSE" in set(found["epochs"]["decision"].str.upper())
    assert set(found["trials"]["outcome"]) == {"COMPLETED", "STOPPED"}
    paused_then_went_on = found["epochs"].groupby("trial_id")["epoch"].max() > 1
    assert paused_then_went_on.any()
    for _, epochs in found["epochs"].groupby("trial_id"):
        assert sorted(epochs["epoch"]) == list(range(1, len(epochs) + 1))


def test_several_objectives_leave_a_pareto_set_in_the_tables(
    on_cluster, job_file, tmp_path: Path, capsys
) -> None:
    wanted = ["val_accuracy", "parameter_count", "latency_ms"]
    both = [{"filters": 8}, {"filters": 16}]
    job = job_file(search={"trials": 5, "max_epochs": 2, "objectives": wanted, "initial_configs": both})
    content = yaml.safe_load(job.read_text())
    del content["space"]["fixed"]["filters"]
    content["space"]["ranges"]["filters"] = {"choices": [8, 16]}
    job.write_text(yaml.safe_dump(content))
    run = tmp_path / "runs" / "small"
    assert on_cluster("search", job).wait().returncode == 0
    found = tables(run)
    assert found["trials"]["parameter_count"].nunique() == 2
    assert (found["epochs"].groupby("trial_id")["latency_ms"].nunique() == 1).all()
    assert (found["trials"]["latency_ms"] > 0).all()
    assert main(["table", str(run), "--pareto", "--format", "json"]) == 0
    front = {row["trial_id"] for row in json.loads(capsys.readouterr().out)}
    assert main(["table", str(run), "--format", "json"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert front == {row["trial_id"] for row in board if row["pareto"]}
    assert board[0]["trial_id"] in front
    again = on_cluster("search", job, "--set", "search.trials=+1").wait()
    assert again.returncode == 0, again.stderr
    assert len(tables(run)["trials"]) == 6


def test_the_simulator_decides_as_the_search_through_ray_did(unbroken: Path) -> None:
    found, job = tables(unbroken), Job.from_file(unbroken / "job.yaml")
    space = prepared_space(job)
    configs = configs_of(found["proposals"])
    curves = {
        json.dumps(configs[trial_id], sort_keys=True): np.pad(
            epochs.sort_values("epoch")["val_accuracy"].to_numpy(),
            (0, 9 - len(epochs)),
            constant_values=np.nan,
        )
        for trial_id, epochs in found["epochs"].groupby("trial_id")
    }

    class Recorded:
        """What the search measured; NaN where it trained no further, which would end a trial as DIVERGED."""

        max_epochs = 9

        def space(self, trial):
            return space(trial)

        def curve(self, config):
            return curves[json.dumps(config, sort_keys=True)], np.arange(1.0, 10.0)

    simulated = simulate(new_strategy(job, space), Recorded(), workers=1, budget_secs=1e9)
    ended = dict(zip(found["trials"]["trial_id"], found["trials"]["outcome"], strict=True))
    assert {name: str(outcome) for name, outcome in simulated.outcomes.items()} == ended
    assert simulated.epochs == len(found["epochs"])
