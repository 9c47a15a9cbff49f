"""Images in an NPZ file, read in blocks of rows: neither the file nor an array in it has to fit in memory."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from toprung.spaces.errors import InputError
from toprung.trainables.data.source_rules.base import Item, Listing, Source, file_stamp
from toprung.trainables.data.source_rules.paths import Place, RemotePath, located
from toprung.trainables.data.source_rules.split_names import resolved, split_file
from toprung.trainables.data.sources.arrays import array_listing, checked_shape
from toprung.trainables.system.uris import last_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from toprung.trainables.data.source_rules.spec import DataSpec

BLOCK_BYTES = 4 * 2**20
MAX_NAMED = 5  # arrays in a note
SPLIT_ORDER = ("train", "val", "test")
IMAGE_WORDS = ("x", "images", "image", "imgs", "data", "pixels")
LABEL_WORDS = ("y", "labels", "label", "targets", "target")
NAME_WORDS = ("classes", "class_names", "label_names", "names")
ALLOWED = "x_train and y_train (and x_test, y_test), train_images and train_labels, or images and labels"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpzSource(Source):
    """One NPZ file: x_train, y_train (x_val, y_val, x_test, y_test if there), or images, labels; and classes.

    A name is made of a word for images or labels and one for the split, in either order and any case: X_train,
    train_images, val_labels, images_test.
    """

    names: ClassVar[tuple[str, ...]] = ("npz",)

    def __init__(self, spec: DataSpec) -> None:
        self.path = located(spec.path, "npz", "an .npz file")

    @classmethod
    def recognises(cls, path: str | None) -> bool:
        return path is not None and last_name(path).lower().endswith(".npz")

    def stamps(self) -> tuple[str, ...]:
        return (file_stamp(self.path),)

    def listing(self) -> Listing:
        with _opened(self.path) as file:
            members = {name.removesuffix(".npy"): name for name in file.namelist()}
            pairs = _pairs(members)
            if "train" not in pairs:
                given = f"{self.path} holds {', '.join(members) or 'nothing'}"
                raise InputError.single("data.path", given, ALLOWED)
            named = next((name for name in members if name.lower() in NAME_WORDS), None)
            names = _names(_array(file, members[named])) if named else None
            arrays = {
                split: ((members[images], _header(file, members[images])), _array(file, members[labels]))
                for split, (images, labels) in pairs.items()
            }
        used = {named, *(name for pair in pairs.values() for name in pair)}
        others = [name for name in members if name not in used]
        notes = [f"arrays that are not used: {', '.join(others[:MAX_NAMED])}"] if others else []
        return array_listing(arrays, names, "data.path", self.path.name, self._images, notes)

    def _images(self, array: tuple[str, Header], where: str, display_name: str) -> NpzImages:
        member, header = array
        shape = checked_shape(header.shape, header.dtype, where, display_name)
        return NpzImages(self.path, member, shape, display_name)


def _pairs(members: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Split -> the names of its images and labels among the arrays of a file."""
    found: dict[tuple[str, str], str] = {}
    for name in members:
        words = re.split(r"[-_. ]+", name.lower())
        roles = {"images": {*words} & {*IMAGE_WORDS}, "labels": {*words} & {*LABEL_WORDS}}
        named = [role for role, own in roles.items() if own]
        split = split_file(name) or ("train" if len(words) == 1 else "")
        if len(named) == 1 and split and len(words) <= 2:
            found.setdefault((split, named[0]), name)
    splits = {split: split for split, role in found if role == "images" and (split, "labels") in found}
    return {
        split: (found[word, "images"], found[word, "labels"])
        for word, split in sorted(resolved(splits).items(), key=lambda item: SPLIT_ORDER.index(item[1]))
    }


@dataclass(frozen=True)
class NpzImages:
    """The images of one array in the file, uint8.

    member: the array's name in the archive.
    shape: (N, H, W, C).
    display_name: the file and split in messages.
    """

    path: Place
    member: str
    shape: tuple[int, ...]
    display_name: str

    def __len__(self) -> int:
        return self.shape[0]

    def name(self, row: int) -> str:
        return f"{self.display_name} row {row}"

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        rows = max(1, min(length, BLOCK_BYTES // math.prod(self.shape[1:])))
        with _opened(self.path) as file, file.open(self.member) as stream:
            header = _read_header(stream)
            blocks = self._fortran_rows if header.fortran else self._rows
            yield from map(list, blocks(stream, rows))

    def _rows(self, stream: IO[bytes], rows: int) -> Iterator[NDArray[np.uint8]]:
        image_bytes = math.prod(self.shape[1:])
        for start in range(0, len(self), rows):
            count = min(rows, len(self) - start)
            content = stream.read(count * image_bytes)
            if len(content) < count * image_bytes:
                raise ValueError(f"{self.member} ends in the middle of its images")
            yield np.frombuffer(content, np.uint8).reshape(count, *self.shape[1:])

    def _fortran_rows(self, stream: IO[bytes], rows: int) -> Iterator[NDArray[np.uint8]]:
        """Blocks of an array in Fortran order, where an image is spread over all of it; by way of a mapped file."""
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(stream, unpacked, BLOCK_BYTES)
            unpacked.flush()
            mapped = np.memmap(unpacked, np.uint8, "r", shape=self.shape, order="F")
        for start in range(0, len(self), rows):
            yield np.ascontiguousarray(mapped[start : start + rows])


class Header(NamedTuple):
    """The header of an array, as NumPy's format has it."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


@contextmanager
def _opened(path: Place) -> Iterator[ZipFile]:
    """The file as an archive; raises InputError for anything that cannot be read while it is open."""
    try:
        with ZipFile(path.open() if isinstance(path, RemotePath) else path) as file:
            yield file
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have errors of their own for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        allowed = "an .npz file without pickled objects: texts are saved as x.astype(str)"
        raise InputError.single("data.path", f"{path} cannot be read ({reason})", allowed) from error


def _array(file: ZipFile, member: str) -> NDArray[Any]:
    with file.open(member) as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        return array


def _names(array: NDArray[Any]) -> Any:
    """The class names as they were saved; bytes are read as UTF-8."""
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
