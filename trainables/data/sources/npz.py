"""Images in an NPZ file: read in blocks of rows, so that neither the file nor an array in it has to fit in memory."""

from __future__ import annotations

import math
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from toprung.spaces.errors import InputError
from toprung.trainables.data.sources.arrays import array_listing, checked_shape
from toprung.trainables.data.sources.base import Item, Listing, file_stamp
from toprung.trainables.data.sources.paths import Place, RemotePath, located

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from toprung.trainables.data.sources.spec import DataSpec

BLOCK_BYTES = 4 * 2**20
PAIRS = {"train": ("x_train", "y_train"), "val": ("x_val", "y_val"), "test": ("x_test", "y_test")}
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpzSource:
    """One NPZ file: x_train, y_train (x_val, y_val, x_test, y_test if there), or images, labels; and classes."""

    def __init__(self, spec: DataSpec) -> None:
        self.path = located(spec.path, "npz", "an .npz file")

    def stamps(self) -> tuple[str, ...]:
        return (file_stamp(self.path),)

    def listing(self) -> Listing:
        with _opened(self.path) as file:
            members = {name.removesuffix(".npy"): name for name in file.namelist()}
            pairs = {split: keys for split, keys in PAIRS.items() if members.keys() >= set(keys)}
            if "train" not in pairs and {"images", "labels"} <= members.keys():
                pairs = {"train": ("images", "labels")}
            if "train" not in pairs:
                allowed = "x_train and y_train (and x_test, y_test), or images and labels"
                raise InputError.single(
                    "data.path", f"{self.path} holds {', '.join(members) or 'nothing'}", allowed
                )
            names = _names(_array(file, members["classes"])) if "classes" in members else None
            found = {
                split: ((members[images], _header(file, members[images])), _array(file, members[labels]))
                for split, (images, labels) in pairs.items()
            }
        return array_listing(found, names, "data.path", self.path.name, self._images)

    def _images(self, found: tuple[str, Header], where: str, title: str) -> NpzImages:
        member, header = found
        return NpzImages(self.path, member, checked_shape(header.shape, header.dtype, where, title), title)


@dataclass(frozen=True)
class NpzImages:
    """The uint8 images of one array of the file, of `shape` (N, H, W, C) and of the part `title`."""

    path: Place
    member: str
    shape: tuple[int, ...]
    title: str

    def __len__(self) -> int:
        return self.shape[0]

    def name(self, row: int) -> str:
        return f"{self.title} row {row}"

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        rows = max(1, min(length, BLOCK_BYTES // math.prod(self.shape[1:])))
        with _opened(self.path) as file, file.open(self.member) as stream:
            header = _read_header(stream)
            blocks = self._columns_turned if header.fortran else self._rows
            yield from map(list, blocks(stream, rows))

    def _rows(self, stream: IO[bytes], rows: int) -> Iterator[NDArray[np.uint8]]:
        image_bytes = math.prod(self.shape[1:])
        for start in range(0, len(self), rows):
            wanted = min(rows, len(self) - start)
            content = stream.read(wanted * image_bytes)
            if len(content) < wanted * image_bytes:
                raise ValueError(f"{self.member} ends in the middle of its images")
            yield np.frombuffer(content, np.uint8).reshape(wanted, *self.shape[1:])

    def _columns_turned(self, stream: IO[bytes], rows: int) -> Iterator[NDArray[np.uint8]]:
        """Blocks of an array in Fortran order, where an image lies all over it: by way of a file that is mapped."""
        with tempfile.TemporaryFile() as whole:
            shutil.copyfileobj(stream, whole, BLOCK_BYTES)
            whole.flush()
            mapped = np.memmap(whole, np.uint8, "r", shape=self.shape, order="F")
        for start in range(0, len(self), rows):
            yield np.ascontiguousarray(mapped[start : start + rows])


class Header(NamedTuple):
    """What stands in front of an array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


@contextmanager
def _opened(path: Place) -> Iterator[ZipFile]:
    """The file as the archive it is. Raises InputError, in one line, for what cannot be read while it is open."""
    try:
        with ZipFile(path.open() if isinstance(path, RemotePath) else path) as file:
            yield file
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        allowed = "an .npz file without pickled objects"
        raise InputError.single("data.path", f"{path} cannot be read ({reason})", allowed) from error


def _array(file: ZipFile, member: str) -> NDArray[Any]:
    with file.open(member) as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        return array


def _names(array: NDArray[Any]) -> Any:
    """The class names as they were saved, bytes being UTF-8."""
    return (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).tolist()


def _header(file: ZipFile, member: str) -> Header:
    with file.open(member) as stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> Header:
    version = npy.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"an array of format {version}")
    header = Header(*HEADERS[version](stream))
    if header.dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    return header
