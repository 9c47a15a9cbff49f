"""The lock by which one search at a time writes a run: it names its holder, in folders and on object stores."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.storage import Root, Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

HOLDER_FILE = ".writer.json"
LOCK_FILE = ".writer.lock"
LEASE_SECS = 60.0
RENEW_SECS = 15.0

SETTLE_SECS = 2.0
"""Longer than a store takes to be read and written once."""


class RunBusyError(InputError):
    """Another search is writing the run: wait for it, stop it, or choose another run."""


@dataclass(frozen=True)
class LockHolder:
    """Who writes a run; `seen_at` in seconds since 1970, renewed while the search lives (URIs only)."""

    owner: str
    pid: int
    host: str
    seen_at: float


class RunLock:
    """The right to write a run, until `release` or the death of the process.

    In a folder the operating system holds the lock and releases it when the process dies, however it dies. On an object
    store it is a lease that must be renewed: the lease of a dead process on this host is taken over at once, that of
    one elsewhere after LEASE_SECS without renewal.

    Of several that take a lease at the same moment the last one to write its name has it, and the others find out
    after SETTLE_SECS; where a store was slower than that, at their next renewal, and until then two write. The hosts'
    clocks must agree to less than LEASE_SECS - RENEW_SECS, or a living search loses its lease, and finds out in the
    same way.

    Args:
        root: The run folder.
        clock: Seconds since 1970.
        stopwatch: Seconds that only ever grow.

    Raises:
        RunBusyError: Another search writes the run; with its pid and host.
    """

    def __init__(
        self,
        root: Root,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = Storage.at(root)
        self._clock, self._stopwatch = clock, stopwatch
        self._owner = uuid.uuid4().hex
        self._renewed_at = stopwatch()
        self._file: FileLock | None = None
        if self._storage.is_local:
            self._lock_folder()
            self._sign()
        else:
            self._take_lease()

    def renew(self) -> None:
        """Say that this process is alive; cheap, to be called every few seconds. Does nothing in a folder.

        Raises RunBusyError when another search took the run over, which it may after LEASE_SECS of silence.
        """
        if self._storage.is_local or self._stopwatch() - self._renewed_at < RENEW_SECS:
            return
        self._check_mine()
        self._sign()

    def release(self) -> None:
        """Let the next search write the run; twice is no error."""
        if self._storage.is_local and self._file is None:
            return
        with suppress(OSError):  # a folder that can no longer be written: the search has said so
            holder = self._holder()
            if holder is not None and holder.owner == self._owner:
                self._storage.delete(HOLDER_FILE)
        if self._file is not None:
            self._file.release()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock_folder(self) -> None:
        folder = Path(self._storage.base)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise self._busy(self._holder()) from None
        self._file = lock

    def _take_lease(self) -> None:
        if (holder := self._holder()) and self._is_alive(holder):
            raise self._busy(holder)
        try:
            self._sign()
            time.sleep(SETTLE_SECS)  # another may have looked before this one signed, and overwrite it now
            self._check_mine()
        except BaseException:
            self.release()
            raise

    def _check_mine(self) -> None:
        if (holder := self._holder()) and holder.owner != self._owner:
            raise self._busy(holder)

    def _sign(self) -> None:
        began = self._stopwatch()  # the clock may be set back: the lease would no longer be renewed
        holder = LockHolder(self._owner, os.getpid(), socket.gethostname(), self._clock())
        self._storage.put(HOLDER_FILE, json.dumps(asdict(holder)).encode())
        self._renewed_at = began

    def _holder(self) -> LockHolder | None:
        return _holder_at(self._storage)

    def _is_alive(self, holder: LockHolder) -> bool:
        if holder.host == socket.gethostname() and not _runs(holder.pid):
            return False
        return self._clock() - holder.seen_at < LEASE_SECS

    def _busy(self, holder: LockHolder | None) -> RunBusyError:
        who = f"pid {holder.pid}, host {holder.host}" if holder else "which one is not known"
        given = f"another search is writing {self._storage.root} ({who})"
        return RunBusyError([Problem("run", given, "wait for it to end, stop it, or choose another name")])


def is_written(root: Root) -> bool:
    """Whether a search seems to write the run now: one of this host if its process lives, one of another if it may."""
    holder = _holder_at(Storage.at(root))
    if holder is None:
        return False
    if holder.host == socket.gethostname():
        return _runs(holder.pid)
    return Storage.at(root).is_local or time.time() - holder.seen_at < LEASE_SECS


def _holder_at(storage: Storage) -> LockHolder | None:
    try:
        content: dict[str, Any] = json.loads(bytes(storage.read(HOLDER_FILE)))
        return LockHolder(**content)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
