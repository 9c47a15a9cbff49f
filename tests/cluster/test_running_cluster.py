"""A search on a Ray cluster that runs already: two nodes on this machine, joined from inside and submitted from
outside, with the tables a local search leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


def ray_command(*arguments: str, env: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Ray's own command line, from the environment that runs the tests."""
    command = [sys.executable, "-m", "ray.scripts.scripts", *arguments]
    return subprocess.run(
        command, env=env, check=check, capture_output=True, text=True, cwd=ROOT, timeout=240
    )


def submitted(cluster, folder: Path, *arguments: str) -> str:
    """What a toprung command says that is carried out as a Ray job with a working folder."""
    program = str(Path(sys.executable).with_name("toprung"))
    job = [
        "job",
        "submit",
        "--address",
        f"http://127.0.0.1:{cluster.dashboard}",
        "--working-dir",
        str(folder),
    ]
    deadline = time.monotonic() + 120
    while True:
        ended = ray_command(*job, "--", program, *arguments, env=cluster.env, check=False)
        # The agent of the head starts after it.
        if "No available agent" not in ended.stderr or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def whole_search(run: Path, trials: int) -> pd.DataFrame:
    found = pd.read_parquet(run / "trials")
    assert sorted(found["trial_id"]) == [f"t{number:05d}" for number in range(trials)]
    assert set(found["outcome"]) <= {"COMPLETED", "STOPPED"}, found["error"].tolist()
    epochs = pd.read_parquet(run / "epochs")
    assert not epochs.duplicated(["trial_id", "epoch"]).any()
    return found


def test_joined_from_inside_the_search_uses_both_nodes(toprung, job_file, tmp_path: Path, cluster) -> None:
    job = job_file(resources={"concurrent": None}, search={"trials": 8, "max_epochs": 9})
    ended = toprung("search", job, "--address", "auto", env=cluster.joined_env).wait()
    assert ended.returncode == 0, ended.stderr
    found = whole_search(tmp_path / "runs" / "small", 8)
    assert found["worker_pid"].nunique() == 2, "each node has room for one trial"


def test_submitted_from_outside_as_a_ray_job_beside_files_of_the_users_own(
    job_file, tmp_path: Path, cluster
) -> None:
    job = job_file("submitted", resources={"concurrent": None}, search={"trials": 4, "max_epochs": 3})
    folder, executed = tmp_path / "work", tmp_path / "executed"
    folder.mkdir()
    job.rename(folder / job.name)
    for name in ("search", "spaces", "trainables", "results", "cluster", "tests"):
        code = f"open({str(executed)!r}, 'a').write('{name} ')\nraise SystemExit(7)\n"
        (folder / f"{name}.py").write_text(code)
    run = tmp_path / "runs" / "submitted"
    searched = submitted(cluster, folder, "search", job.name)
    assert "toprung retrain" in searched
    whole_search(run, 4)
    settings = ("--set", "retrain.epochs=2", "--set", "retrain.calibrate=false")
    trained = submitted(cluster, folder, "retrain", str(run), *settings)
    assert re.search(r"training t\d+ on ", trained) and "test accuracy" in trained
    report = json.loads((run / "retrain" / "report.json").read_text())
    assert report["node"] == os.uname().nodename and len(report["test_reads"]) == 1
    assert not executed.exists(), f"run from the working folder: {executed.read_text()}"


def test_the_cluster_goes_on_after_a_search_on_it_was_killed(on_cluster, job_file, tmp_path: Path) -> None:
    job, run = job_file("killed", resources={"concurrent": None}), tmp_path / "runs" / "killed"
    first = on_cluster("search", job)
    deadline = time.monotonic() + 90
    while not (run / "epochs").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    first.process.kill()
    first.wait()
    ended = on_cluster("search", job).wait()
    assert ended.returncode == 0, ended.stderr
    whole_search(run, 6)


def test_an_address_where_no_cluster_answers_is_one_clear_line(toprung, job_file) -> None:
    env = {"RAY_AUTH_MODE": "disabled"}
    ended = toprung("search", job_file(), "--address", "127.0.0.1:1", env=env).wait()
    assert ended.returncode == 1
    assert "no Ray cluster answers at 127.0.0.1" in ended.stderr
    assert "RAY_AUTH_TOKEN_PATH" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_cluster_that_asks_for_a_token_says_so(toprung, job_file, cluster) -> None:
    env = dict.fromkeys(("RAY_AUTH_TOKEN_PATH",), "")
    address = f"127.0.0.1:{cluster.port}"
    ended = toprung(
        "search", job_file(), "--address", address, env={**env, "RAY_AUTH_MODE": "disabled"}
    ).wait()
    assert ended.returncode == 1
    assert "RAY_AUTH_TOKEN_PATH" in ended.stderr
    assert "Traceback" not in ended.stderr
