"""How the cache of decoded images stays within a bound: who uses an entry holds it, and what nobody holds may go."""

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

VARIABLE = "TOPRUNG_CACHE_GB"
USUAL_GB = 100.0
USED = ".used"  # its lock says that the entry is in use, its time when it was taken up last
PART = ".part"  # ends the name of what is half made or half removed
_held: dict[Path, int] = {}


def most_bytes() -> float:
    """What the entries may take together: $TOPRUNG_CACHE_GB, else 100 GB. Raises InputError on another text."""
    text = os.environ.get(VARIABLE, "")
    try:
        gigabytes = float(text) if text else USUAL_GB
    except ValueError:
        gigabytes = math.nan
    if not gigabytes > 0:
        raise InputError.single(VARIABLE, repr(text), "a number of GB above 0")
    return gigabytes * 1e9


def lock_file(folder: Path, key: str) -> Path:
    """The file that whoever builds the entry `key` has locked."""
    return folder / f"{key}.lock"


def hold(entry: Path) -> bool:
    """Use an entry from now until this process ends; False where it is gone. It counts as used just now."""
    mark = entry / USED
    try:
        if entry not in _held or not _is_same(mark, _held[entry]):
            # To read alone: a shared lock needs no more, and another user's mark gives no more.
            handle = os.open(mark, os.O_RDONLY | os.O_CREAT, 0o666)
            _lock(handle, shared=True)
            if entry in _held:  # what stood there before was damaged and has been built again
                os.close(_held[entry])
            _held[entry] = handle
        with suppress(OSError):  # another user's entry
            os.utime(mark)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a folder that may only be read: nobody can remove from it either
    return _is_same(mark, _held[entry])


def keep_within(folder: Path, most: float) -> None:
    """Remove the entries used longest ago until the rest takes `most` bytes or less, all that are in use left out.

    What killed processes left half made or half removed goes first. Other processes may remove entries meanwhile;
    what they take counts as gone.
    """
    for part in folder.glob(f"*.*{PART}"):
        _remove_left(part, lock_file(folder, part.name.rsplit(".", 2)[0]))
    marks = [mark for mark in folder.glob(f"*/{USED}") if mark.parent.suffix != PART]
    found = [(_taken_up_ns(mark), mark.parent) for mark in marks]
    sizes = {entry: _bytes_of(entry) for _, entry in found}
    taken = sum(sizes.values())
    for _, entry in sorted(found):
        if taken <= most:
            return
        if entry not in _held:
            _remove(entry)
        if not entry.exists():
            taken -= sizes[entry]


def _remove(entry: Path) -> None:
    """Remove the entry where nobody uses it and this user may."""
    with suppress(OSError):
        handle = os.open(entry / USED, os.O_RDWR)
        try:
            # The same still: another may have removed it before the lock was had, and a third built it again.
            if _lock(handle, shared=False) and _is_same(entry / USED, handle):
                # Out of the way by a rename: whoever looks for it now finds it whole or not at all.
                gone = entry.with_name(f"{entry.name}.evicted{PART}")
                entry.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
        finally:
            os.close(handle)


def _remove_left(part: Path, lock: Path) -> None:
    """Remove what nobody is at work on; without a lock's file beside it, it is not the cache's."""
    if lock.exists():
        with suppress(OSError), FileLock(lock, mode=0o666).acquire(blocking=False):
            shutil.rmtree(part, ignore_errors=True)


def _lock(handle: int, shared: bool) -> bool:
    """Whether the lock could be had; a shared one is waited for. Where files have no such locks nothing is removed."""
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


def _bytes_of(entry: Path) -> int:
    total = 0
    with suppress(OSError):  # gone meanwhile, as any of its files may be
        for file in entry.iterdir():
            with suppress(OSError):
                total += file.stat().st_size
    return total


def _taken_up_ns(mark: Path) -> int:
    try:
        return mark.stat().st_mtime_ns
    except OSError:
        return 0
