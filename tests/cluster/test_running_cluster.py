"""A search on a Ray cluster that runs already: two nodes on this machine, joined from inside and submitted from
outside, with the tables a local search leaves."""

from __future__ import annotations

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
    command = [Path(sys.executable).with_name("toprung"), "search", job.name]
    submit = [
        "job",
        "submit",
        "--address",
        f"http://127.0.0.1:{cluster.dashboard}",
        "--working-dir",
        str(folder),
    ]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        ended = ray_command(*submit, "--", *map(str, command), env=cluster.env, check=False)
        if "No available agent" not in ended.stderr:  # of the head, which starts after it
            break
        time.sleep(1)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "toprung retrain" in ended.stdout
    whole_search(tmp_path / "runs" / "submitted", 4)
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
