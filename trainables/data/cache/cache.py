"""A folder that many processes share and one of them fills: what is in it is whole, or is made again.

It keeps to a bound: past it the entries that were used longest ago go, but never one that a process has in use.
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
from toprung.trainables.data.cache.eviction import PART, hold, keep_within, lock_file, most_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

VARIABLE = "TOPRUNG_CACHE"


def cache_folder(cache: Path | None = None) -> Path:
    """The folder given, else $TOPRUNG_CACHE, else this user's in the temporary directory; made if absent.

    Raises InputError when it cannot be written, or when the one in the temporary directory is another user's.
    """
    chosen = cache or os.environ.get(VARIABLE)
    folder = Path(chosen).expanduser() if chosen else Path(tempfile.gettempdir()) / f"toprung-cache-{_user()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o777 if chosen else 0o700)
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "no permission to write")
    if not chosen and not _is_ours(folder):
        raise _unusable(folder, "belongs to another user")
    return folder.absolute()


def _unusable(folder: Path, reason: str) -> InputError:
    return InputError.single(
        VARIABLE, f"{folder}: {reason}", f"{VARIABLE} set to a folder that can be written"
    )


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def _is_ours(folder: Path) -> bool:
    """Whether nobody else made it: in a shared temporary directory anyone may have taken the name."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())


def cached(folder: Path, key: str, is_whole: Callable[[Path], bool], build: Callable[[Path], None]) -> Path:
    """The entry `key` of a cache folder, built by one process while the others wait for it.

    `build` fills an empty folder, which is then renamed to its place; a damaged entry is built again.
    What a killed builder left behind is removed by the next one, whatever it builds. This process has the entry in
    use until it ends.
    """
    entry, most = folder / key, most_bytes()

    def taken() -> bool:
        return is_whole(entry) and hold(entry) and is_whole(entry)  # it may have gone before it was held

    if taken():
        return entry
    with _locked(lock_file(folder, key)):
        if not taken():
            for left in folder.glob(f"{key}.*{PART}"):
                shutil.rmtree(left, ignore_errors=True)
            _build(entry, build)
            hold(entry)
    keep_within(folder, most)
    return entry


def _locked(file: Path) -> AbstractContextManager[object]:
    """The lock, held; the system lets it go when its process dies."""
    try:
        return FileLock(file, mode=0o666).acquire()
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error


def _build(entry: Path, build: Callable[[Path], None]) -> None:
    part = entry.with_name(f"{entry.name}.{os.getpid()}{PART}")
    part.mkdir()
    try:
        build(part)
        if entry.exists():
            # Out of the way by a rename: whoever has the damaged files mapped keeps them until it lets go.
            damaged = entry.with_name(f"{entry.name}.damaged{PART}")
            entry.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        part.rename(entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)
