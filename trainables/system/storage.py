"""Files below a root, a local folder or a URI that `pyarrow.fs` reads. Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import uuid
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

from toprung.spaces.errors import InputError
from toprung.trainables.system.uris import is_storable, is_uri, mask_secrets, refuse_secrets

Root = str | Path


class FileStat(NamedTuple):
    """A file or folder: name below the folder that was listed, bytes, ns since 1970; 0 where a store has none."""

    name: str
    is_folder: bool
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Storage:
    """The files below one root, named by paths relative to it; the root itself is the name "".

    Hidden files (a leading dot) are bookkeeping: pandas, DuckDB and the readers here pass over them.
    """

    root: str
    """As the user knows it: a local path or a URI."""
    base: str
    """The same for the file system."""
    files: pafs.FileSystem
    is_local: bool
    made_folders: set[str] = field(default_factory=set, compare=False, repr=False)
    """Folders that exist on the store, as this object made them."""

    @classmethod
    def at(cls, root: Root) -> Storage:
        """The storage at a local path or URI; nothing is created. `file://` is a local folder too.

        Raises:
            InputError: The URI holds a password or a key, or the path is no text that Arrow takes.
            OSError: The URI is of no known kind, or its store does not answer.
        """
        text = str(root)
        if not is_uri(text):
            local = str(Path(text).absolute())
            if not is_storable(local):  # the working folder's own name may not be
                rule = "must be a path that UTF-8 holds; with LC_ALL=C Python reads names as ASCII, C.UTF-8 reads all"
                raise InputError.single("folder", local, rule)
            return cls(local, local, pafs.LocalFileSystem(), True)
        refuse_secrets(text, "URI")
        try:
            files, base = pafs.FileSystem.from_uri(text)
        except (ValueError, ImportError, pa.ArrowException) as error:
            raise OSError(mask_secrets(str(error))) from error
        return cls(text, str(base), files, isinstance(files, pafs.LocalFileSystem))

    def list(self, folder: str) -> tuple[str, ...]:
        """The names of the files in a folder, sorted; none when there is no such folder."""
        return tuple(entry.name for entry in self.entries(folder) if not entry.is_folder)

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder, sorted; none when there is no such folder."""
        return tuple(entry.name for entry in self.entries(folder) if entry.is_folder)

    def entries(self, folder: str = "", recursive: bool = False) -> tuple[FileStat, ...]:
        """What a folder holds, sorted by name; with `recursive` also what its folders hold. None without the folder."""
        path = self._path(folder)
        found = self.files.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=recursive))
        start = len(path.rstrip("/")) + 1
        return tuple(sorted(_stat(info, info.path[start:]) for info in found))

    def stat(self, name: str = "") -> FileStat | None:
        """The file or folder of this name; None where there is none. A store without folders has prefixes of names."""
        info = self.files.get_file_info(self._path(name))
        return None if info.type == pafs.FileType.NotFound else _stat(info, name)

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name; False also where a folder of its path is a file."""
        found = self.stat(name)
        return found is not None and not found.is_folder

    def obstacle(self, name: str) -> str | None:
        """What lies where a local folder of this name belongs, in words; None for a folder, and where nothing lies."""
        path = Path(self._path(name))
        try:
            mode = path.lstat().st_mode if self.is_local else stat.S_IFDIR
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(mode) or path.is_dir():
            return None
        return _kind(mode) if stat.S_ISLNK(mode) else f"{_kind(mode)}, no folder"

    def why_unwritable(self) -> str:
        """Why no file could be written into the local root, which need not exist; empty where one could.

        Nothing is left behind to find out.

        Raises:
            OSError: A path cannot be looked up, or the nearest folder that exists takes no file.
        """
        root = Path(self.base)
        existing = next(path for path in (root, *root.parents) if _is_there(path))
        if not existing.is_dir():
            return f"{existing} is {_kind(existing.lstat().st_mode)}"
        if not os.access(existing, os.W_OK | os.X_OK):
            return f"no permission in {existing}"
        with tempfile.TemporaryFile(dir=existing):  # where it has no name, as on Linux, nobody sees it
            return ""

    def open(self, name: str) -> pa.NativeFile:
        """The content as a seekable binary stream, to be closed.

        Raises:
            FileNotFoundError: There is no such file.
            OSError: It cannot be read, or is no file: a named pipe or a device would be waited for without end.
        """
        path = self._path(name)
        if self.is_local and not stat.S_ISREG(mode := Path(path).stat().st_mode):
            raise OSError(errno.EINVAL, f"is {_kind(mode)} and no file", path)
        return self.files.open_input_file(path)

    def read(self, name: str) -> pa.Buffer:
        """The whole content, read through one handle. Raises FileNotFoundError."""
        with self.open(name) as stream:
            return stream.read_buffer()

    def put(self, name: str, content: pa.Buffer | bytes, partial: str | None = None) -> None:
        """Write a file, replacing one of that name: a reader sees the old or the new content, never a part.

        Locally it is written under a hidden name in the root, where nobody who reads the file's folder meets it, synced
        to the disk and renamed; elsewhere in a single put, which object stores make visible when it is complete, and
        once more where it was interrupted.

        Args:
            name: The file.
            content: All of it.
            partial: The local name until the file is whole, for one writer at a time; a unique one if None.
                Where somebody deletes it before it is renamed, nothing is put.

        Raises:
            OSError: It could not be written; what was there is still there.
        """
        path = self._path(name)
        if self.is_local:
            _replace(Path(path), content, Path(self.base), Path(self._path(partial)) if partial else None)
            return
        self._make_folder(path.rpartition("/")[0])
        try:
            self._write(path, content)
        except KeyboardInterrupt:
            self._write(path, content)  # opened and not yet written, the file is there now, empty
            raise

    def move(self, name: str, to: str) -> None:
        """Give a file another name, in place of one that has it. Raises FileNotFoundError."""
        try:
            self.files.move(self._path(name), self._path(to))
        except OSError:
            if not self.exists(name):  # stores have errors of their own for this
                raise FileNotFoundError(self._path(name)) from None
            raise

    def set_aside(self, name: str, to: str) -> None:
        """Rename whatever lies locally under a name, a file or not; the folder that it comes into is made."""
        target = Path(self._path(to))
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(self._path(name)).rename(target)

    def delete(self, name: str) -> None:
        """Remove a file; one that is already gone is no error."""
        with suppress(FileNotFoundError):
            self.files.delete_file(self._path(name))

    def _path(self, name: str) -> str:
        if not (self.base and name):
            return self.base or name
        return f"{self.base.rstrip('/')}/{name}"

    def _make_folder(self, path: str) -> None:
        if path not in self.made_folders:
            self.files.create_dir(path, recursive=True)
            self.made_folders.add(path)

    def _write(self, path: str, content: pa.Buffer | bytes) -> None:
        with self.files.open_output_stream(path) as stream:
            stream.write(content)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link that leads to no folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def _stat(info: pafs.FileInfo, name: str) -> FileStat:
    return FileStat(name, info.type == pafs.FileType.Directory, info.size or 0, info.mtime_ns or 0)


def _replace(path: Path, content: pa.Buffer | bytes, root: Path, partial: Path | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = partial or root / f".{path.name}.{uuid.uuid4().hex[:8]}"
    try:
        with unfinished.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileNotFoundError) if partial else nullcontext():
            os.replace(unfinished, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder; the rename stands without it
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
