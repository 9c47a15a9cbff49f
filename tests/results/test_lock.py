"""Two searches never write one run; a dead one never keeps the next from writing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from results.lock import LEASE_SECS, RENEW_SECS, RunBusyError, RunLock
from spaces.problem import InputError

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from results.lock import RunLock
lock = RunLock(sys.argv[1])
print("held", flush=True)
time.sleep(600)
"""


def test_the_second_is_told_who_writes(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(RunBusyError) as refused:
        RunLock(tmp_path)
    assert isinstance(refused.value, InputError)
    assert f"another search is writing {tmp_path} (pid {os.getpid()}, host {socket.gethostname()})" in str(
        refused.value
    )
    RunLock(tmp_path).release()


@pytest.mark.slow
def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunBusyError, match=f"pid {holder.pid}"):
        RunLock(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    RunLock(tmp_path).release()


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now_secs = 1e9

    def __call__(self) -> float:
        return self.now_secs


@pytest.fixture
def uri() -> str:
    return f"fsspec+memory://bucket-{uuid.uuid4().hex}/run"


def test_a_lease_holds_while_it_is_renewed(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    lock = RunLock(uri, clock)
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    for _ in range(10):
        clock.now_secs += RENEW_SECS
        lock.renew()
        with pytest.raises(RunBusyError):
            RunLock(uri, clock)
    clock.now_secs += LEASE_SECS
    RunLock(uri, clock)


def test_a_released_lease_is_free_at_once(uri: str) -> None:
    RunLock(uri).release()
    RunLock(uri).release()


def test_the_lease_of_a_dead_process_here_is_taken_over_at_once(uri: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.getpid", lambda: gone.pid)
        RunLock(uri)
    RunLock(uri).release()


def test_losing_a_lease_does_not_end_the_successors(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    slept = RunLock(uri, clock)
    clock.now_secs += LEASE_SECS
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    RunLock(uri, clock)
    with pytest.raises(RunBusyError, match="another-host"):
        slept.renew()
    slept.release()
    monkeypatch.setattr("socket.gethostname", lambda: "a-third-host")
    with pytest.raises(RunBusyError, match="another-host"):
        RunLock(uri, clock)
