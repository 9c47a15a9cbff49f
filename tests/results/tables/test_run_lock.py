"""Two searches never write one run, from whatever machines; a dead one never keeps the next from writing."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from toprung.results.tables import run_lock
from toprung.results.tables.lock_holder import LockHolder
from toprung.results.tables.run_lock import HOLDER_FILE, LEASE_SECS, RunBusyError, RunLock, present_holder
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


@pytest.fixture(autouse=True)
def no_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come where a test says so."""
    monkeypatch.setattr(run_lock, "RENEW_SECS", 3600.0)


@pytest.fixture(params=["folder", "fsspec", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3").uri("run"))
    return str(tmp_path) if request.param == "folder" else f"fsspec+memory://bucket-{uuid.uuid4().hex}/run"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on this process is on another machine, which sees none of those before."""

    def move() -> None:
        name = uuid.uuid4().hex
        monkeypatch.setattr("toprung.results.tables.lock_holder.this_machine", lambda: name)
        monkeypatch.setattr("socket.gethostname", lambda: f"host-{name[:4]}")

    return move


class Time:
    """A clock that sleeping moves; `then` is done once, after the first second of sleep."""

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.now_secs, self.slept_secs, self._then = 1e6, 0.0, then

    def __call__(self) -> float:
        return self.now_secs

    def sleep(self, secs: float) -> None:
        self.now_secs += secs
        self.slept_secs += secs
        if self._then is not None:
            then, self._then = self._then, None
            then()

    def take(self, root: str) -> RunLock:
        return RunLock(root, self, self.sleep)


def holder_files(root: str) -> list[str]:
    return [name for name in Storage.at(root).list("") if HOLDER_FILE.fullmatch(name)]


def test_the_second_is_told_who_writes_and_since_when(root: str) -> None:
    with RunLock(root), pytest.raises(RunBusyError) as refused:
        RunLock(root)
    assert isinstance(refused.value, InputError)
    who = f"(pid {os.getpid()}, host {socket.gethostname()}, since 2"
    assert f"another search is writing {Storage.at(root).root} {who}" in str(refused.value)
    RunLock(root).release()


def test_a_released_run_is_free_at_once_on_any_machine(root: str, elsewhere: Callable[[], None]) -> None:
    RunLock(root).release()
    elsewhere()
    watch = Time()
    watch.take(root).release()
    assert watch.slept_secs == 0
    assert len(holder_files(root)) == 1, "one small file is left, whoever had the run"


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
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    RunLock(tmp_path).release()  # its parent has not yet taken note of its end
    holder.wait()


def test_a_process_that_has_the_number_of_a_dead_one_does_not_keep_the_run(root: str) -> None:
    dead = replace(LockHolder.this_process(), started="1")
    Storage.at(root).put(".writer-00000007.json", dead.encode())
    RunLock(root).release()


def test_a_dead_search_of_another_machine_is_taken_over_within_the_lease(
    root: str, elsewhere: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    RunLock(root)
    elsewhere()
    watch = Time()
    watch.take(root).release()
    assert LEASE_SECS <= watch.slept_secs < LEASE_SECS + 2
    assert [line for line in caplog.messages if "sign of life" in line and f"pid {os.getpid()}" in line]


def test_a_search_that_lives_on_another_machine_keeps_its_run(
    root: str, elsewhere: Callable[[], None]
) -> None:
    lock = RunLock(root)
    elsewhere()
    watch = Time(then=lock.renew)
    with pytest.raises(RunBusyError, match=socket.gethostname()[:3]):
        watch.take(root)
    assert watch.slept_secs <= 2
    lock.check()


def test_a_run_that_is_released_meanwhile_is_taken(root: str, elsewhere: Callable[[], None]) -> None:
    lock = RunLock(root)
    elsewhere()
    Time(then=lock.release).take(root).release()


def test_of_many_that_take_a_run_at_the_same_moment_one_has_it(root: str) -> None:
    def attempt(_: int) -> RunLock | None:
        try:
            return RunLock(root)
        except RunBusyError:
            return None

    with ThreadPoolExecutor(16) as pool:
        taken = [lock for lock in pool.map(attempt, range(16)) if lock]
    assert len(taken) == 1
    taken[0].check()


def test_of_many_that_wait_for_a_dead_search_one_has_its_run(
    root: str, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    RunLock(root)
    elsewhere()
    monkeypatch.setattr(run_lock, "LEASE_SECS", 0.3)
    monkeypatch.setattr(run_lock, "LOOK_EVERY_SECS", 0.05)

    def attempt(_: int) -> RunLock | None:
        try:
            return RunLock(root)
        except RunBusyError:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert sum(lock is not None for lock in pool.map(attempt, range(8))) == 1


def test_who_looked_before_others_came_and_went_does_not_get_the_run(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that a slow process creates may be free again, while a later one has the run."""
    RunLock(root).release()
    create_new = run_lock.create_new

    def create_late(storage: Storage, name: str, content: bytes) -> str | None:
        with monkeypatch.context() as others:
            others.setattr(run_lock, "create_new", create_new)
            RunLock(root).release()
            holder.append(RunLock(root))
        return create_new(storage, name, content)

    holder: list[RunLock] = []
    with monkeypatch.context() as slow:
        slow.setattr(run_lock, "create_new", create_late)
        with pytest.raises(RunBusyError):
            RunLock(root)
    holder[0].renew()
    assert len(holder_files(root)) == 1


def test_a_search_that_slept_for_longer_than_the_lease_writes_no_more(
    root: str, elsewhere: Callable[[], None]
) -> None:
    asleep = Time()
    lock = asleep.take(root)
    elsewhere()
    successor = Time().take(root)
    asleep.now_secs += 3 * LEASE_SECS
    for _ in range(2):
        with pytest.raises(RunBusyError, match="host-"):
            lock.check()
    lock.release()
    elsewhere()
    with pytest.raises(RunBusyError, match="host-"):
        Time(then=successor.renew).take(root)


def test_a_search_that_renews_in_time_does_not_look_at_the_store(root: str) -> None:
    lock = RunLock(root)
    Storage.at(root).put(".writer-00000099.json", b"{}")
    lock.check()
    with pytest.raises(RunBusyError, match="which one is not known"):
        lock.renew()


def test_signs_of_life_come_by_themselves(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "RENEW_SECS", 0.02)
    with RunLock(root):
        storage = Storage.at(root)
        before = bytes(storage.read(holder_files(root)[0]))
        deadline = time.monotonic() + 10
        while bytes(storage.read(holder_files(root)[0])) == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_renewal_that_fails_is_tried_again_at_once(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Time()
    lock = watch.take(root)
    watch.now_secs += LEASE_SECS
    with monkeypatch.context() as broken:
        broken.setattr(Storage, "put", failing)
        for _ in range(2):
            with pytest.raises(OSError, match="no route"):
                lock.check()
    lock.check()


def failing(*_: object) -> None:
    raise OSError("no route to the store")


def test_who_is_interrupted_while_it_takes_a_run_leaves_it_free(
    root: str, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> str | None:
        run_lock_create(*_)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    run_lock_create = run_lock.create_new
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(run_lock, "create_new", interrupt)
        with pytest.raises(KeyboardInterrupt):
            RunLock(root)
    elsewhere()
    watch = Time()
    watch.take(root).release()
    assert watch.slept_secs == 0


def test_a_store_without_conditions_is_used_with_a_warning(
    s3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("toprung.trainables.system.exclusive_create.SETTLE_SECS", 0.0)
    s3.keeps_conditions = False
    with RunLock(s3.uri("run")), pytest.raises(RunBusyError):
        RunLock(s3.uri("run"))
    assert any("does not guarantee" in line for line in caplog.messages)


def test_anyone_can_see_who_writes_and_how_many_workers_it_has(
    root: str, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert present_holder(root) is None
    with RunLock(root) as lock:
        lock.describe_with(lambda: "2 asked, 0 here")
        lock.renew()
        for _ in ("here", "elsewhere"):
            holder = present_holder(root)
            assert holder is not None and (holder.pid, holder.workers) == (os.getpid(), "2 asked, 0 here")
            elsewhere()
        if not root.startswith("fsspec"):  # a store that tells no times
            monkeypatch.setattr("time.time", lambda: time.time_ns() / 1e9 + 2 * LEASE_SECS)
            assert present_holder(root) is None, "it has been silent for long"
    assert present_holder(root) is None


def test_a_folder_that_can_no_longer_be_written_is_let_go_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    lock = RunLock(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "put", refuse)
        lock.release()
