"""How the cache of decoded images stays within a bound: a process holds the entries it uses, others may be removed."""

from __future__ import annotations

import math
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SIZE_VARIABLE = "TOPRUNG_CACHE_GB"
DEFAULT_GB = 100.0
MARK = ".used"  # a file in each entry: a process that uses the entry has it locked; its time is that of the last use
TEMPORARY = ".part"  # the suffix of entries that are half built or half removed
_held: dict[Path, int] = {}  # entry -> descriptor of its mark


def max_cache_bytes() -> float:
    """How many bytes all entries may take: $TOPRUNG_CACHE_GB, else 100 GB. Raises InputError for another text."""
    text = os.environ.get(SIZE_VARIABLE, "")
    try:
        gigabytes = float(text) if text else DEFAULT_GB
    except ValueError:
        gigabytes = math.nan
    if not gigabytes > 0:
        raise InputError.single(SIZE_VARIABLE, repr(text), "a number of GB above 0")
    return gigabytes * 1e9


def lock_file(folder: Path, key: str) -> Path:
    """The file that a process has locked while it builds the entry `key`."""
    return folder / f"{key}.lock"


def hold(entry: Path) -> bool:
    """Keep an entry from being removed until this process ends, and note the time of use; False where it is gone."""
    mark = entry / MARK
    try:
        if entry not in _held or not _is_same(mark, _held[entry]):
            # Opened for reading: a shared lock needs no more, and another user's mark permits no more.
            handle = os.open(mark, os.O_RDONLY | os.O_CREAT, 0o666)
            _lock(handle, shared=True)
            if entry in _held:  # a damaged entry of this name, which has been built again
                os.close(_held[entry])
            _held[entry] = handle
        with suppress(OSError):  # another user's entry
            os.utime(mark)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a read-only folder: nobody can remove anything from it
    return _is_same(mark, _held[entry])


def evict(folder: Path, max_bytes: float) -> None:
    """Remove the least recently used entries until all take `max_bytes` or less; entries in use stay.

    Entries that killed processes left half built or half removed go first. Other processes may remove entries
    meanwhile; what they remove counts.
    """
    for temporary in folder.glob(f"*.*{TEMPORARY}"):
        _remove_leftover(temporary, lock_file(folder, temporary.name.rsplit(".", 2)[0]))
    marks = [mark for mark in folder.glob(f"*/{MARK}") if mark.parent.suffix != TEMPORARY]
    entries = sorted((_last_use_ns(mark), mark.parent) for mark in marks)
    sizes = {entry: _size_bytes(entry) for _, entry in entries}
    total = sum(sizes.values())
    for _, entry in entries:
        if total <= max_bytes:
            return
        if entry not in _held:
            _remove(entry)
        if not entry.exists():
            total -= sizes[entry]


def _remove(entry: Path) -> None:
    """Remove the entry if no process uses it and this user may."""
    with suppress(OSError):
        handle = os.open(entry / MARK, os.O_RDWR)
        try:
            # Before the lock was ours another process may have removed the entry, and a third built it again.
            if _lock(handle, shared=False) and _is_same(entry / MARK, handle):
                # Renamed first: a process that looks for it now finds it complete or not at all.
                evicted = entry.with_name(f"{entry.name}.evicted{TEMPORARY}")
                entry.rename(evicted)
                shutil.rmtree(evicted, ignore_errors=True)
        finally:
            os.close(handle)


def _remove_leftover(temporary: Path, lock: Path) -> None:
    """Remove a folder that no process works on; without the file of a lock beside it, it is not the cache's."""
    if lock.exists():
        with suppress(OSError), FileLock(lock, mode=0o666).acquire(blocking=False):
            shutil.rmtree(temporary, ignore_errors=True)


def _lock(handle: int, shared: bool) -> bool:
    """Whether the lock was acquired; waits for a shared one. On systems without such locks nothing is removed."""
    try:
        import fcntl
    except ImportError:
        return shared
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return shared
    return True


def _is_same(mark: Path, handle: int) -> bool:
    try:
        return os.path.samestat(mark.stat(), os.fstat(handle))
    except OSError:
        return False


def _size_bytes(entry: Path) -> int:
    total = 0
    with suppress(OSError):  # it may be gone meanwhile, as may any of its files
        for file in entry.iterdir():
            with suppress(OSError):
                total += file.stat().st_size
    return total


def _last_use_ns(mark: Path) -> int:
    try:
        return mark.stat().st_mtime_ns
    except OSError:
        return 0
