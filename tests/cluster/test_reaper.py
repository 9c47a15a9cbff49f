"""What a search started ends with it, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from toprung.cluster.reaper import LOOK_EVERY_SECS, orphan_watch

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
