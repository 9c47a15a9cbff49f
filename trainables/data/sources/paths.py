"""Where a source's files are: a path of this machine, or a URI that `pyarrow.fs` reads (s3://, gs://, hdfs://)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = "a local path, or a URI such as s3://bucket/folder, gs://bucket/folder or file:///folder"


class Stat(NamedTuple):
    """Size in bytes and modification time in ns (0 where the store has none), named as `os.stat` does."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True)
class RemoteFiles:
    """A file system, and what its listings told so far: a store takes tens of milliseconds for each question."""

    system: Any
    scheme: str
    known: dict[str, Any] = field(default_factory=dict)

    def info(self, path: str) -> Any:
        """The FileInfo of a path, of type NotFound where nothing is."""
        if path not in self.known:
            self.known[path] = _asked(lambda: self.system.get_file_info(path), f"{self.scheme}://{path}")
        return self.known[path]

    def below(self, path: str, recursive: bool = False) -> list[Any]:
        """The FileInfos of what lies in a folder; none where there is no such folder."""
        from pyarrow import fs

        selector = fs.FileSelector(path, allow_not_found=True, recursive=recursive)
        infos = _asked(lambda: self.system.get_file_info(selector), f"{self.scheme}://{path}")
        self.known.update({info.path: info for info in infos})
        return sorted(infos, key=lambda info: str(info.path))


@dataclass(frozen=True)
class RemotePath:
    """A file or folder on a store, with as much of `pathlib.Path` as sources need.

    Raises InputError, naming itself, where the store does not answer or forbids it.
    """

    files: RemoteFiles
    base: str

    def __str__(self) -> str:
        return f"{self.files.scheme}://{self.base}"

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.files, f"{self.base}/{name}" if name != "." else self.base)

    @property
    def name(self) -> str:
        """The last part."""
        return self.base.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        """The folder it lies in."""
        return RemotePath(self.files, self.base.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether anything is there."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether it is a file."""
        return str(self.files.info(self.base).type.name) == "File"

    def is_dir(self) -> bool:
        """Whether it is a folder, or a prefix of names that stores without folders have."""
        return str(self.files.info(self.base).type.name) == "Directory"

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies in the folder, sorted."""
        return (RemotePath(self.files, info.path) for info in self.files.below(self.base))

    def files_below(self) -> list[str]:
        """All files of the folder and its folders, as paths from here, sorted."""
        found = self.files.below(self.base, recursive=True)
        start = len(self.base) + 1
        return [info.path[start:] for info in found if info.type.name == "File"]

    def stat(self) -> Stat:
        """Raises FileNotFoundError where nothing is."""
        if not self.exists():
            raise FileNotFoundError(str(self))
        info = self.files.info(self.base)
        return Stat(info.size or 0, info.mtime_ns or 0)

    def open(self) -> Any:
        """The content as a seekable binary stream."""
        return _asked(lambda: self.files.system.open_input_file(self.base), str(self))

    def read_bytes(self) -> bytes:
        """The whole content."""

        def read() -> bytes:
            with self.files.system.open_input_file(self.base) as stream:
                return bytes(stream.read())

        content: bytes = _asked(read, str(self))
        return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content."""
        return self.read_bytes().decode(encoding)


Place = Path | RemotePath


def place_of(path: str) -> Place:
    """The absolute local path, or the path on its store, that a job's text means; nothing needs to be there.

    Raises InputError for a URI of no known kind.
    """
    if "://" not in path:
        return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow links
    system, base = system_at(path)
    if system.type_name == "local":
        return Path(base)
    return RemotePath(RemoteFiles(system, path.partition("://")[0]), base.rstrip("/"))


def located(path: str | None, source: str, wanted: str) -> Place:
    """The place a source reads. Raises InputError when none is given or nothing is there."""
    if path is None:
        raise InputError.single("data.path", "not given", f"source {source!r} needs {wanted}")
    found = place_of(path)
    if not found.exists():
        raise InputError.single("data.path", f"{found} does not exist", wanted)
    return found


def files_below(folder: Place) -> list[str]:
    """All files of a folder and its folders, as paths from it, sorted; links are followed, each folder once.

    Hidden folders are not entered, but a store lists what is in them.
    Raises OSError for a folder that may not be listed.
    """
    if isinstance(folder, RemotePath):
        return folder.files_below()

    def refuse(error: OSError) -> None:
        raise error

    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for where, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(where).stat()
        if (here.st_dev, here.st_ino) in seen:  # a link back up would otherwise be followed forty times
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        # A link in a hidden folder could otherwise be where the images behind it are seen first, and hidden.
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.relpath(Path(where) / name, folder) for name in names]
    return sorted(found)


def system_at(uri: str) -> tuple[Any, str]:
    """The file system of a URI and the path on it; raises InputError where pyarrow knows none."""
    import pyarrow
    from pyarrow import fs

    try:
        system, base = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError.single("data.path", f"{uri} cannot be opened ({_reason(error)})", ALLOWED) from error
    return system, str(base)


def _asked(question: Any, name: str) -> Any:
    import pyarrow

    try:
        return question()
    except (OSError, pyarrow.ArrowException) as error:
        given = f"{name} cannot be read ({_reason(error)})"
        raise InputError.single("data.path", given, "files and folders that can be read") from error


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rstrip(". ")
