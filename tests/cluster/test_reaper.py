"""What a search started ends with it, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from toprung.cluster.reaper import ENDED_SUDDENLY, LOOK_EVERY_SECS, orphan_watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
ROOT = Path(__file__).parents[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
START_AT_A_WORD = f"""
import subprocess, sys
sys.stdin.readline()
print(subprocess.Popen({SLEEP!r}).pid, flush=True)
sys.stdin.readline()
"""
KILLED_DRIVER = f"""
import os, subprocess, sys, time
from toprung.cluster.reaper import orphan_watch
earlier = subprocess.Popen({SLEEP!r}).pid
with orphan_watch():
    print(earlier, subprocess.Popen({SLEEP!r}).pid, flush=True)
    time.sleep(600)
"""

LEFT_BY_AN_ERROR = """
from toprung.cluster.reaper import orphan_watch
with orphan_watch():
    raise SystemExit(3)
"""
WITH_RAY = """
import time
from toprung.cluster.session import TrialResources, connected
with connected(None, TrialResources(1.0, 0.0, 1)):
    print("up", flush=True)
    while True:
        import ray
        ray.put(bytes(10**6))
        time.sleep(0.1)
"""


def test_what_was_started_before_the_search_outlives_it_with_its_children() -> None:
    notebooks = subprocess.Popen(
        [sys.executable, "-c", START_AT_A_WORD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert notebooks.stdin is not None
    assert notebooks.stdout is not None
    with orphan_watch():
        notebooks.stdin.write("now\n")
        notebooks.stdin.flush()
        child = psutil.Process(int(notebooks.stdout.readline()))
        ours = subprocess.Popen(SLEEP)
        time.sleep(4 * LOOK_EVERY_SECS)  # the watcher starts and looks
    try:
        assert ours.wait() != 0
        assert notebooks.poll() is None
        assert child.is_running()
    finally:
        child.kill()
        notebooks.communicate("end\n")


def test_a_killed_driver_leaves_only_what_was_there_before() -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", KILLED_DRIVER], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert driver.stdout is not None
    earlier, later = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
    time.sleep(4 * LOOK_EVERY_SECS)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    try:
        later.wait()
        assert earlier.is_running()
    finally:
        earlier.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_search_whose_raylet_ends_says_so_and_that_the_same_command_continues(how: signal.Signals) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", WITH_RAY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "up\n"
    (raylet,) = [child for child in psutil.Process(driver.pid).children() if child.name() == "raylet"]
    os.kill(raylet.pid, how)
    _, told = driver.communicate()
    assert driver.returncode == 1
    assert told.rstrip().endswith(ENDED_SUDDENLY)


def test_a_driver_that_ends_by_itself_is_said_nothing_of() -> None:
    driver = subprocess.run(
        [sys.executable, "-c", LEFT_BY_AN_ERROR], capture_output=True, cwd=ROOT, text=True, check=False
    )
    assert (driver.returncode, driver.stdout, driver.stderr) == (3, "", "")
