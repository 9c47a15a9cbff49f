"""How the cache of decoded images stays within a bound: who uses an entry holds it, and what nobody holds may go."""

from __future__ import annotations

import math
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from spaces.problem import InputError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "TOPRUNG_CACHE_GB"
USUAL_GB = 100.0
USED = ".used"  # its lock says that the entry is in use, its time when it was taken up last
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


def hold(entry: Path) -> bool:
    """Use an entry from now until this process ends; False where it is gone. It counts as used just now."""
    mark = entry / USED
    try:
        if entry not in _held or not _is_same(mark, _held[entry]):
            handle = os.open(mark, os.O_RDWR | os.O_CREAT, 0o666)
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
    """Remove the entries used longest ago until the rest takes `most` bytes or less, all that are in use left out."""
    found = [(mark.stat().st_mtime_ns, mark.parent) for mark in folder.glob(f"*/{USED}")]
    sizes = {entry: _bytes_of(entry) for _, entry in found}
    taken = sum(sizes.values())
    for _, entry in sorted(found):
        if taken <= most:
            return
        if entry not in _held and _remove(entry):
            taken -= sizes[entry]


def _remove(entry: Path) -> bool:
    try:
        handle = os.open(entry / USED, os.O_RDWR)
    except OSError:
        return False
    try:
        if not _lock(handle, shared=False):
            return False
        # Out of the way by a rename: whoever looks for it now finds it whole or not at all.
        gone = entry.with_name(f"{entry.name}.evicted.part")
        entry.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


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
    for file in entry.iterdir():
        with suppress(OSError):
            total += file.stat().st_size
    return total
