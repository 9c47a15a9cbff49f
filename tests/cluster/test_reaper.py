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
ENDED_BY_ITSELF = """
import os
from toprung.cluster.reaper import orphan_watch
with orphan_watch() as ends_in_order:
    ends_in_order()
    os._exit(3)
"""
WITH_RAY = """
import sys, time
from toprung.cluster.session import TrialResources, connected
with connected(sys.argv[1] or None, TrialResources(1.0, 0.0, 1)):
    import ray
    print(ray.get_runtime_context().gcs_address, flush=True)
    while True:
        ray.put(bytes(10**6))
        time.sleep(0.1)
"""


def driver_with_ray(address: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WITH_RAY, address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True)


def address_of(driver: subprocess.Popen[str]) -> str:
    assert driver.stdout is not None
    return driver.stdout.readline().strip()


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
    driver = driver_with_ray()
    assert address_of(driver)
    (raylet,) = [child for child in psutil.Process(driver.pid).children() if child.name() == "raylet"]
    os.kill(raylet.pid, how)
    _, told = driver.communicate()
    assert driver.returncode == 1
    assert told.rstrip().endswith(ENDED_SUDDENLY)


def test_a_search_that_had_joined_the_ray_of_another_says_so_when_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("1" * 64)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    owner = driver_with_ray()
    guest = driver_with_ray(address_of(owner))
    try:
        assert address_of(guest)
    finally:
        owner.terminate()
        owner.communicate()
    _, told = guest.communicate()
    assert guest.returncode == 1
    assert told.rstrip().endswith(ENDED_SUDDENLY)


@pytest.mark.parametrize("program", [LEFT_BY_AN_ERROR, ENDED_BY_ITSELF])
def test_a_driver_that_ends_by_itself_is_said_nothing_of(program: str) -> None:
    driver = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, text=True, check=False
    )
    assert (driver.returncode, driver.stdout, driver.stderr) == (3, "", "")
