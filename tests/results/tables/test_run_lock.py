"""Two searches never write one run; a dead one never keeps the next from writing."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from toprung.results.tables.run_lock import HOLDER_FILE, LEASE_SECS, RENEW_SECS, RunBusyError, RunLock
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from toprung.results.tables.run_lock import RunLock
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


@pytest.fixture(params=["fsspec", "s3"])
def uri(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("toprung.results.tables.run_lock.SETTLE_SECS", 0.0)
    if request.param == "s3":
        return str(request.getfixturevalue("s3").uri("run"))
    return f"fsspec+memory://bucket-{uuid.uuid4().hex}/run"


def test_a_lease_holds_while_it_is_renewed(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    lock = RunLock(uri, clock, clock)
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    for _ in range(10):
        clock.now_secs += RENEW_SECS
        lock.renew()
        with pytest.raises(RunBusyError):
            RunLock(uri, clock, clock)
    clock.now_secs += LEASE_SECS
    RunLock(uri, clock, clock)


def test_a_clock_set_back_does_not_keep_a_search_from_hearing_that_another_took_its_run(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, stopwatch = Clock(), Clock()
    lock = RunLock(uri, clock, stopwatch)
    clock.now_secs -= 3600
    for _ in range(2):
        stopwatch.now_secs += RENEW_SECS
        lock.renew()
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    RunLock(uri)
    stopwatch.now_secs += RENEW_SECS
    with pytest.raises(RunBusyError, match="another-host"):
        lock.renew()


def test_a_renewal_that_fails_is_tried_again_at_once(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    lock = RunLock(uri, clock, clock)
    clock.now_secs += RENEW_SECS
    with monkeypatch.context() as broken:
        broken.setattr(Storage, "put", failing)
        for _ in range(2):
            with pytest.raises(OSError, match="no route"):
                lock.renew()
    lock.renew()


def failing(*_: object) -> None:
    raise OSError("no route to the store")


def test_of_two_that_look_at_the_same_moment_the_last_to_sign_has_the_run(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looked before the first signed, and signs while the first waits."""
    second = json.dumps({"owner": "second", "pid": 1, "host": "another-host", "seen_at": 1e9}).encode()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("time.sleep", lambda secs: Storage.at(uri).put(HOLDER_FILE, second))
        with pytest.raises(RunBusyError, match="another-host"):
            RunLock(uri)
    assert Storage.at(uri).read(HOLDER_FILE).to_pybytes() == second


def test_who_is_interrupted_while_it_takes_a_run_leaves_it_free(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(secs: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            RunLock(uri)
    assert not Storage.at(uri).exists(HOLDER_FILE)


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
    slept = RunLock(uri, clock, clock)
    clock.now_secs += LEASE_SECS
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    RunLock(uri, clock, clock)
    with pytest.raises(RunBusyError, match="another-host"):
        slept.renew()
    slept.release()
    monkeypatch.setattr("socket.gethostname", lambda: "a-third-host")
    with pytest.raises(RunBusyError, match="another-host"):
        RunLock(uri, clock, clock)


def test_a_folder_that_can_no_longer_be_written_is_let_go_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        lock = RunLock(tmp_path)
        patch.setattr(Storage, "delete", refuse)
        lock.release()
    RunLock(tmp_path).release()
