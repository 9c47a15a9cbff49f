"""A folder that many processes share: one of them builds an entry while the others wait; a damaged one is built again.

It keeps to a bound: past it the least recently used entries are removed, but never one that a process has in use.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from toprung.spaces.errors import InputError
from toprung.trainables.data.cache.eviction import TEMPORARY, evict, hold, lock_file, max_cache_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

CACHE_VARIABLE = "TOPRUNG_CACHE"


def cache_folder(cache: Path | None = None) -> Path:
    """The folder of all entries, made if it does not exist.

    Args:
        cache: The folder; $TOPRUNG_CACHE, else one for this user in the temporary directory, if None.

    Raises:
        InputError: It cannot be written, or the one in the temporary directory belongs to another user.
    """
    chosen = cache or os.environ.get(CACHE_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else Path(tempfile.gettempdir()) / f"toprung-cache-{_user()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o777 if chosen else 0o700)
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "no permission to write")
    if not chosen and not _is_ours(folder):
        raise _unusable(folder, "belongs to another user, or others may write it")
    return folder.absolute()


def cached(
    folder: Path, key: str, is_complete: Callable[[Path], bool], build: Callable[[Path], None]
) -> Path:
    """The entry `key` of a cache folder; one process builds it while the others wait for it.

    Whatever a killed process left half built is removed. This process has the entry in use until it ends.

    Args:
        folder: The cache folder.
        key: The name of the entry.
        is_complete: Whether the folder of an entry is there and undamaged.
        build: Fills the empty folder of an entry, which is then renamed to its place.
    """
    entry, max_bytes = folder / key, max_cache_bytes()

    def is_held() -> bool:
        return (
            is_complete(entry) and hold(entry) and is_complete(entry)
        )  # it may have gone before it was held

    if is_held():
        return entry
    with _locked(lock_file(folder, key)):
        if not is_held():
            for leftover in folder.glob(f"{key}.*{TEMPORARY}"):
                shutil.rmtree(leftover, ignore_errors=True)
            _build(entry, build)
            hold(entry)
    evict(folder, max_bytes)
    return entry


def _build(entry: Path, build: Callable[[Path], None]) -> None:
    temporary = entry.with_name(f"{entry.name}.{os.getpid()}{TEMPORARY}")
    temporary.mkdir()
    try:
        build(temporary)
        if entry.exists():
            # Renamed and not removed in place: a process that has the damaged files mapped keeps them.
            damaged = entry.with_name(f"{entry.name}.damaged{TEMPORARY}")
            entry.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        temporary.rename(entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _locked(file: Path) -> AbstractContextManager[object]:
    """The lock, held; the system releases it when its process dies."""
    try:
        return FileLock(file, mode=0o666).acquire()
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error


def _unusable(folder: Path, reason: str) -> InputError:
    allowed = f"{CACHE_VARIABLE} set to a folder that can be written"
    return InputError.single(CACHE_VARIABLE, f"{folder}: {reason}", allowed)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def _is_ours(folder: Path) -> bool:
    """Whether this user made it, and nobody else may write it: in a shared directory anyone may have taken the name."""
    status = folder.lstat()
    is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISDIR(status.st_mode) and is_own and not status.st_mode & 0o022
