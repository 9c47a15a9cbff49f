"""Where a run's files are: a local folder or a URI (s3://, gs://, ...). Files appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

Root = str | Path


@dataclass(frozen=True)
class Storage:
    """The files of one run, named by paths relative to its root.

    Hidden files (a leading dot) are bookkeeping: pandas, DuckDB and the readers here pass over them.
    """

    root: str
    """As the user knows it: a local path or a URI."""
    base: str
    """The same for the file system."""
    files: Any
    """A pyarrow.fs.FileSystem."""
    is_local: bool

    @classmethod
    def at(cls, root: Root) -> Storage:
        """The storage at a local path or URI; nothing is created. `file://` is a local folder too.

        Raises OSError for a URI of no known kind, or a store that does not answer.
        """
        text = str(root)
        if "://" not in text:
            local = str(Path(text).absolute())
            return cls(local, local, pafs.LocalFileSystem(), True)
        try:
            files, base = pafs.FileSystem.from_uri(text)
        except pa.ArrowException as error:
            raise OSError(str(error)) from error
        return cls(text, base, files, isinstance(files, pafs.LocalFileSystem))

    def list(self, folder: str) -> tuple[str, ...]:
        """The names of the files in a folder, sorted; none when there is no such folder."""
        selector = pafs.FileSelector(f"{self.base}/{folder}", allow_not_found=True)
        found = self.files.get_file_info(selector)
        return tuple(sorted(info.base_name for info in found if info.type == pafs.FileType.File))

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder, sorted; none when there is no such folder."""
        selector = pafs.FileSelector(f"{self.base}/{folder}", allow_not_found=True)
        found = self.files.get_file_info(selector)
        return tuple(sorted(info.base_name for info in found if info.type == pafs.FileType.Directory))

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name; False also where a folder of its path is a file."""
        return bool(self.files.get_file_info(f"{self.base}/{name}").type == pafs.FileType.File)

    def read(self, name: str) -> pa.Buffer:
        """The whole content, read through one handle. Raises FileNotFoundError."""
        with self.files.open_input_file(f"{self.base}/{name}") as stream:
            return stream.read_buffer()

    def put(self, name: str, content: pa.Buffer | bytes) -> None:
        """Write a file, replacing one of that name: a reader sees the old or the new content, never a part.

        Locally through a hidden name in the same folder, synced to the disk and renamed; elsewhere in a
        single put, which object stores make visible when it is complete, and once more where it was interrupted. Raises
        OSError.
        """
        if self.is_local:
            _replace(Path(self.base) / name, content)
            return
        path = f"{self.base}/{name}"
        self.files.create_dir(path.rpartition("/")[0], recursive=True)
        try:
            self._write(path, content)
        except KeyboardInterrupt:
            self._write(path, content)  # opened and not yet written, the file is there now, empty
            raise

    def _write(self, path: str, content: pa.Buffer | bytes) -> None:
        with self.files.open_output_stream(path) as stream:
            stream.write(content)

    def delete(self, name: str) -> None:
        """Remove a file; one that is already gone is no error."""
        with suppress(FileNotFoundError):
            self.files.delete_file(f"{self.base}/{name}")


def _replace(path: Path, content: pa.Buffer | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    try:
        with hidden.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder; the rename stands without it
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
