"""A second search on a full cluster says that it waits, and gets its share while the first one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

SLEEPING_SEARCH = Path(__file__).parents[1] / "fakes" / "sleeping_search.py"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_search_that_comes_later_gets_workers_of_one_that_has_them_all(
    on_cluster, job_file: Callable[..., Path], tmp_path: Path
) -> None:
    def start(name: str, trials: int, epochs: int):
        job = job_file(
            name,
            search={"trials": trials, "max_epochs": epochs, "min_epochs": epochs},
            resources={"concurrent": 2},
        )
        return on_cluster("search", job, "--address", "auto", program=[str(SLEEPING_SEARCH)])

    first = start("first", trials=400, epochs=10)
    wait_for(
        lambda: (
            first.process.poll() is not None
            or len(epochs_of(tmp_path / "runs" / "first")["trial_id"].unique()) >= 2
        )
    )
    assert first.process.poll() is None, first.wait().stderr
    second = start("second", trials=3, epochs=2)
    run = tmp_path / "runs" / "second"
    wait_for(lambda: "2 asked, 0 here, waiting for resources" in status(run))
    ended = second.wait()
    assert ended.returncode == 0, ended.stderr
    assert "workers: 2 asked, 0 here, waiting for resources" in ended.stdout
    assert first.process.poll() is None, "its share goes on"
    first.signal(signal.SIGINT)
    said = first.wait()
    assert said.returncode == 130
    assert "another search waits for room: 1 workers of this one go on" in said.stdout
    trials = pd.read_parquet(run / "trials")
    assert trials["outcome"].tolist() == ["COMPLETED"] * 3


def status(run: Path) -> str:
    shown = subprocess.run(
        [sys.executable, "-P", "-m", "toprung.search", "status", str(run)], capture_output=True, text=True
    )
    return shown.stdout


def epochs_of(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "epochs") if (run / "epochs").exists() else pd.DataFrame({"trial_id": []})


def wait_for(condition: Callable[[], bool], timeout_secs: float = 240) -> None:
    deadline = time.monotonic() + timeout_secs
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)
