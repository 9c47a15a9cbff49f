"""Where a source's files are: a path of this machine, or a URI that `pyarrow.fs` reads (s3://, gs://, hdfs://)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from toprung.spaces.errors import InputError
from toprung.trainables.system.uris import is_uri, mask_secrets, refuse_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.trainables.system.storage import FileStat, Storage

ALLOWED = "a local path, or a URI such as s3://bucket/folder, gs://bucket/folder or file:///folder"
T = TypeVar("T")


class Stat(NamedTuple):
    """Size in bytes and modification time in ns (0 where the store has none), named as `os.stat` does."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True)
class RemoteFiles:
    """The files of a store, by their paths on it, and what is known of them: each question takes milliseconds."""

    storage: Storage
    """Its root is that of the store: `s3://`."""
    stats: dict[str, FileStat | None] = field(default_factory=dict)

    def stat(self, path: str) -> FileStat | None:
        """The file or folder at a path, None where nothing is."""
        if path not in self.stats:
            self.stats[path] = self.checked(path, lambda: self.storage.stat(path))
        return self.stats[path]

    def entries(self, path: str, recursive: bool = False) -> list[FileStat]:
        """What lies in a folder, sorted, its names from there; none where there is no such folder."""
        found = self.checked(path, lambda: self.storage.entries(path, recursive))
        self.stats.update({f"{path}/{entry.name}": entry for entry in found})
        return list(found)

    def checked(self, path: str, read: Callable[[], T]) -> T:
        """What `read` returns; raises InputError, naming the path, where the store does not answer or forbids it."""
        import pyarrow

        try:
            return read()
        except (OSError, pyarrow.ArrowException) as error:
            given = f"{self.storage.root}{path} cannot be read ({_reason(error)})"
            raise InputError.single("data.path", given, "files and folders that can be read") from error


@dataclass(frozen=True)
class RemotePath:
    """A file or folder on a store, with as much of `pathlib.Path` as sources need.

    Raises InputError, naming itself, where the store does not answer or forbids it.
    """

    files: RemoteFiles
    base: str

    def __str__(self) -> str:
        return f"{self.files.storage.root}{self.base}"

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
        return self.files.stat(self.base) is not None

    def is_file(self) -> bool:
        """Whether it is a file."""
        found = self.files.stat(self.base)
        return found is not None and not found.is_folder

    def is_dir(self) -> bool:
        """Whether it is a folder, or a prefix of names that stores without folders have."""
        found = self.files.stat(self.base)
        return found is not None and found.is_folder

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies in the folder, sorted."""
        return (self / entry.name for entry in self.files.entries(self.base))

    def files_below(self) -> list[str]:
        """All files of the folder and its folders, as paths from here, sorted."""
        found = self.files.entries(self.base, recursive=True)
        return [entry.name for entry in found if not entry.is_folder]

    def stat(self) -> Stat:
        """Raises FileNotFoundError where nothing is."""
        found = self.files.stat(self.base)
        if found is None:
            raise FileNotFoundError(str(self))
        return Stat(found.size, found.mtime_ns)

    def open(self, mode: str = "rb") -> Any:
        """The content as a seekable binary stream; `mode` is there as for a local path and can only be "rb"."""
        assert mode == "rb"
        return self.files.checked(self.base, lambda: self.files.storage.open(self.base))

    def read_bytes(self) -> bytes:
        """The whole content."""
        return self.files.checked(self.base, lambda: bytes(self.files.storage.read(self.base)))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content."""
        return self.read_bytes().decode(encoding)


Place = Path | RemotePath


def place_of(path: str) -> Place:
    """The absolute local path, or the path on its store, that a job's text means; nothing needs to be there.

    Raises InputError for a URI of no known kind, and for one with a password or a key in it.
    """
    if not is_uri(path):
        return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow links
    refuse_secrets(path, "data.path")
    from toprung.trainables.system.storage import Storage  # pyarrow takes a tenth of a second to import

    try:
        found = Storage.at(path)
    except OSError as error:
        raise InputError.single(
            "data.path", f"{path} cannot be opened ({_reason(error)})", ALLOWED
        ) from error
    if found.is_local:
        return Path(found.base)
    store = Storage(f"{path.partition('://')[0]}://", "", found.files, is_local=False)
    return RemotePath(RemoteFiles(store), found.base.rstrip("/"))


def located(path: str | None, source: str, wanted: str) -> Place:
    """The place that a source reads. Raises InputError when none is given or nothing is there."""
    if path is None:
        raise InputError.single("data.path", "not given", f"source {source!r} needs {wanted}")
    found = place_of(path)
    if isinstance(found, Path) and found == found.parent:
        raise InputError.single("data.path", f"{found} is the whole file system", wanted)
    if not found.exists():
        raise InputError.single("data.path", f"{found} does not exist", wanted)
    if not (found.is_file() or found.is_dir()):  # a named pipe would be waited for without end
        raise InputError.single("data.path", f"{found} is no file and no folder", wanted)
    return found


def entries(folder: Place) -> list[tuple[str, bool]]:
    """What lies in a folder, sorted: its name, and whether it is a folder; nothing where there is no such folder.

    Raises OSError for a folder that may not be listed.
    """
    if not folder.is_dir():
        return []
    if isinstance(folder, RemotePath):
        return [(entry.name, entry.is_dir()) for entry in folder.iterdir()]
    with os.scandir(folder) as found:
        return sorted((entry.name, _is_folder(entry)) for entry in found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead to one another
        return False


def open_regular(place: Place) -> Any:
    """The content of a file as a binary stream, to be closed.

    Raises:
        OSError: It cannot be read, or is a named pipe or a device, which would be waited for without end.
    """
    if isinstance(place, RemotePath):
        return place.open("rb")
    handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file", str(place))
    return os.fdopen(handle, "rb")


def files_below(folder: Place) -> list[str]:
    """All files of a folder and its folders, as paths from it, sorted; links are followed, each folder once.

    Hidden folders are not entered, but a store lists what is in them. A link to a folder that this one lies in is not
    followed: there is what belongs to others.
    Raises OSError for a folder that may not be listed.
    """
    if isinstance(folder, RemotePath):
        return folder.files_below()

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # what vanishes while it is looked at is not there
            raise error

    found: list[str] = []
    around = {*folder.absolute().parents, *folder.resolve().parents}
    seen = {(known.st_dev, known.st_ino) for known in (parent.stat() for parent in around)}
    for where, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        try:
            here = Path(where).stat()
        except FileNotFoundError:
            folders.clear()
            continue
        if (here.st_dev, here.st_ino) in seen:  # a link back up would otherwise be followed forty times
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        # A link in a hidden folder could otherwise be where the images behind it are seen first, and hidden.
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.relpath(Path(where) / name, folder) for name in names]
    return sorted(found)


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return mask_secrets(text).rstrip(". ")
