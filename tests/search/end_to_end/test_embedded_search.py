"""A search inside a program: in a thread, in a running event loop, and never at the program's cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow]

PROGRAM = """
import asyncio, json, signal, sys, threading
from toprung.search import run


def search(path):
    try:
        return run(path).root
    except Exception as error:
        return type(error).__name__


def in_thread(path):
    results = []
    thread = threading.Thread(target=lambda: results.append(search(path)))
    thread.start()
    thread.join()
    return results


async def in_event_loop(path):
    assert asyncio.get_running_loop().is_running()
    return [search(path), await asyncio.to_thread(lambda: "the loop goes on")]


def handlers():
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}


if __name__ == "__main__":
    thread_job, refused_job, loop_job = sys.argv[1:]
    before = handlers()
    results = {
        "thread": in_thread(thread_job),
        "refused": in_thread(refused_job),
        "loop": asyncio.run(in_event_loop(loop_job)),
        "handlers kept": handlers() == before,
    }
    print(json.dumps(results))
"""


@pytest.fixture
def results(job_file, tmp_path: Path) -> dict[str, Any]:
    """What three searches in one program came to."""
    small = {"search": {"trials": 2, "max_epochs": 2}}
    jobs = [
        job_file("threaded", **small),
        job_file("refused", resources={"cpus": 10_000}, **small),
        job_file("looped", **small),
    ]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), *map(str, jobs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "a library does not talk to a program's users"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_search_runs_in_a_thread_and_in_an_event_loop_of_one_program(results, tmp_path: Path) -> None:
    threaded, looped = tmp_path / "runs" / "threaded", tmp_path / "runs" / "looped"
    assert results["thread"] == [str(threaded)]
    assert results["refused"] == ["InputError"], "an error is raised, and the program lives on"
    assert results["loop"] == [str(looped), "the loop goes on"]
    assert results["handlers kept"]
    for run in (threaded, looped):
        assert set(pd.read_parquet(run / "trials")["outcome"]) <= {"COMPLETED", "STOPPED"}
