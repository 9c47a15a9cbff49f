"""The files of a cache entry as they were written: a manifest with the digest of each, compared once a process."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST = "manifest.json"
_intact: set[tuple[str, int, int, int]] = (
    set()
)  # (path, inode, bytes, mtime in ns) of files compared by this process


class DamagedCacheError(RuntimeError):
    """A file of the cache is not as it was written; the next process finds it and decodes the images again."""


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the manifest of an entry: `content`, and the size and digest of each file that is in the folder."""
    files = {file.name: [file.stat().st_size, _digest(file)] for file in sorted(folder.iterdir())}
    whole = {**content, "files": files}
    (folder / MANIFEST).write_text(
        json.dumps({"content": whole, "sha256": _json_digest(whole)}), encoding="utf-8"
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The content of an entry's manifest.

    Raises:
        OSError, ValueError, KeyError, TypeError: It is not there, or not as it was written.
    """
    written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    content: dict[str, Any] = written["content"]
    if _json_digest(content) != written["sha256"]:
        raise ValueError("another digest")
    return content


def is_intact(folder: Path) -> bool:
    """Whether an entry is there with every file as it was written; the content of a file is read once a process."""
    try:
        files = read_manifest(folder)["files"]
        return all(_is_as_written(folder / name, *written) for name, written in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def check_intact(folder: Path, names: tuple[str, ...]) -> None:
    """Read some files of an entry again, whatever was read before.

    Raises:
        DamagedCacheError: One of them is not as it was written.
    """
    files = read_manifest(folder)["files"]
    for name in names:
        if _digest(folder / name) != files[name][1]:
            reason = "is not as it was written: the same command decodes the images again"
            raise DamagedCacheError(f"{folder / name} {reason}")


def _is_as_written(file: Path, size: int, digest: str) -> bool:
    status = file.stat()
    if status.st_size != size:
        return False
    seen = (str(file), status.st_ino, status.st_size, status.st_mtime_ns)
    if seen not in _intact and _digest(file) == digest:
        _intact.add(seen)
    return seen in _intact


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _json_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
