"""The lock by which one search at a time writes a run, from any machine, in a folder and on an object store."""

from __future__ import annotations

import errno
import logging
import re
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from toprung.results.tables.lock_holder import LockHolder
from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.exclusive_create import create_new
from toprung.trainables.system.storage import Root, Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_log = logging.getLogger("toprung")
HOLDER_FILE = re.compile(r"\.writer-(\d{8})\.json")  # hidden: bookkeeping
LEASE_SECS = 60.0
RENEW_SECS = 5.0
LOOK_EVERY_SECS = 1.0


class RunBusyError(InputError):
    """Another search is writing the run: wait for it, stop it, or choose another run."""


class Entry(NamedTuple):
    """The file of one holder: its number and its content."""

    number: int
    content: bytes

    @property
    def holder(self) -> LockHolder | None:
        """Who wrote it; None where that cannot be read (yet)."""
        return LockHolder.decode(self.content)


class RunLock:
    """The right to write a run, until `release` or the death of the process.

    Each holder has a file RUN/.writer-NUMBER.json, and the highest number has the run. Who takes it creates the next
    file, which only one can (see `create_new`), once the holder has released the run or is dead: a process of this
    machine that has ended is dead at once, one elsewhere after LEASE_SECS in which it did not renew its file. No two
    clocks are compared. A holder that slept for longer finds the higher number before it writes again.

    Args:
        root: The run folder.
        clock: Seconds from any origin, which also pass while the machine sleeps.
        sleep: Waits for so many seconds.

    Raises:
        RunBusyError: Another search writes the run; with its pid and host, and since when.
        OSError: The folder cannot be written.
    """

    def __init__(
        self,
        root: Root,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage = Storage.at(root)
        self._clock, self._sleep = clock or _clock, sleep
        self._me, self._number = LockHolder.this_process(), 0
        self._renewed_at_secs = self._clock()
        self._lost: RunBusyError | None = None
        self._describe: Callable[[], str] = str
        self._in_use, self._released = threading.Lock(), threading.Event()
        try:
            self._take()
        except BaseException:
            self.release()
            raise
        self._folder = _identity(self._storage)
        self._thread = threading.Thread(target=self._keep_renewing, name="toprung-run-lock", daemon=True)
        self._thread.start()

    def describe_with(self, describe: Callable[[], str]) -> None:
        """Have each sign of life say how many workers the search has, in the words of a function."""
        self._describe = describe

    def check(self) -> None:
        """Make sure that the run is still this process's; to be called before each write, nearly always at once.

        Raises:
            RunBusyError: Another search took the run over, which it may after LEASE_SECS of silence.
            OSError: That cannot be found out, or the folder is no longer there.
        """
        if self._lost is not None:
            raise self._lost
        self._check_folder()
        if self._clock() - self._renewed_at_secs > LEASE_SECS / 2:
            self.renew()

    def renew(self) -> None:
        """Write a sign of life; a thread does so every RENEW_SECS. Raises what `check` raises."""
        with self._in_use:
            if self._released.is_set():
                return
            self._check_folder()
            began_secs = self._clock()
            newest = _newest(self._storage)
            if newest.number > self._number:
                self._lost = self._busy(newest)
                raise self._lost
            self._me = self._me.renewed(self._describe())
            self._storage.put(_name(self._number), self._me.encode())
            self._renewed_at_secs = began_secs

    def release(self) -> None:
        """Let the next search write the run; twice is no error."""
        with self._in_use:
            if self._released.is_set():
                return
            self._released.set()
            if not self._number or self._lost:
                return
            with suppress(OSError):  # a folder that can no longer be written: the search has said so
                if _newest(self._storage).number == self._number:
                    released = replace(self._me, has_released=True)
                    self._storage.put(_name(self._number), released.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self) -> None:
        while not self._number:
            newest = _newest(self._storage)
            self._check_free(newest)
            self._number = newest.number + 1
            try:
                unsure = create_new(self._storage, _name(self._number), self._me.encode())
            except FileExistsError:
                self._number = 0
                continue
            if _newest(self._storage).number > self._number:  # others came and went since this one looked
                self._storage.delete(_name(self._number))
                self._number = 0
                continue
            if unsure:
                _log.warning(
                    f"{self._storage.root} does not guarantee that one search alone has the run, should another start "
                    f"within the same seconds ({unsure})"
                )
        for number in _numbers(self._storage):
            if number < self._number:
                self._storage.delete(_name(number))

    def _check_free(self, newest: Entry) -> None:
        """Return once nobody has the run; waits for a sign of life from a holder that this machine cannot see."""
        holder = newest.holder
        runs = holder.runs if holder else None
        if not newest.number or (holder and holder.has_released) or runs is False:
            return
        if runs:
            raise self._busy(newest)
        _log.warning(
            f"waiting up to {LEASE_SECS:g} s for a sign of life from the search that was writing "
            f"{self._storage.root} ({holder or 'which one is not known'})"
        )
        deadline_secs = self._clock() + LEASE_SECS
        while self._clock() < deadline_secs:
            self._sleep(LOOK_EVERY_SECS)
            now = _newest(self._storage)
            if now == newest:
                continue
            if now.holder and now.holder.has_released:
                return
            raise self._busy(now)

    def _check_folder(self) -> None:
        # A write would make the folder anew, and the run would be in two places.
        if _identity(self._storage) != self._folder:
            raise FileNotFoundError(errno.ENOENT, "the run folder was moved, removed or replaced")

    def _keep_renewing(self) -> None:
        while not self._released.wait(RENEW_SECS):
            try:
                self.renew()
            except RunBusyError:
                return
            except OSError:
                continue  # `check` raises it if it lasts

    def _busy(self, entry: Entry) -> RunBusyError:
        given = f"another search is writing {self._storage.root} ({entry.holder or 'which one is not known'})"
        return RunBusyError([Problem("run", given, "wait for it to end, stop it, or choose another name")])


def is_locked(root: Root) -> bool:
    """Whether a search writes the run, as far as this machine can see: of one on another, what it has signed."""
    holder = _newest(Storage.at(root)).holder
    return holder is not None and not holder.has_released and holder.runs is not False


def _identity(storage: Storage) -> tuple[int, int] | None:
    """What tells a local folder from another of the same path; None on an object store, and where there is none."""
    if not storage.is_local:
        return None
    try:
        found = Path(storage.base).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def present_holder(root: Root) -> LockHolder | None:
    """Who writes a run now, as far as can be seen without waiting; None where nobody does."""
    storage = Storage.at(root)
    newest = _newest(storage)
    holder = newest.holder
    if holder is None or holder.has_released or holder.runs is False:
        return None
    if holder.runs is None:
        found = storage.stat(_name(newest.number))
        if found is None or (found.mtime_ns and time.time() - found.mtime_ns / 1e9 > LEASE_SECS):
            return None
    return holder


def _newest(storage: Storage) -> Entry:
    while numbers := _numbers(storage):
        with suppress(FileNotFoundError):
            return Entry(numbers[-1], bytes(storage.read(_name(numbers[-1]))))
    return Entry(0, b"")


def _numbers(storage: Storage) -> list[int]:
    found = map(HOLDER_FILE.fullmatch, storage.list(""))
    return sorted(int(match[1]) for match in found if match)


def _name(number: int) -> str:
    return f".writer-{number:08d}.json"


def _clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
