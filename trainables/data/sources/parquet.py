"""Parquet files with encoded images, in the layout of dataset hubs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.sources.base import (
    Item,
    Listing,
    Source,
    SourceSplit,
    checked_labels,
    file_stamp,
    listing_of,
)
from toprung.trainables.data.sources.label_lists import LabelLists, Labels, as_arrays, is_list
from toprung.trainables.data.sources.paths import Place, RemotePath, located, place_of
from toprung.trainables.system.uris import last_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from toprung.trainables.data.sources.spec import DataSpec

ALLOWED = "a folder with train.parquet or train-*.parquet (and val, test), or one .parquet file"
# Split -> how the names of its files begin.
STEMS = {"train": ("train",), "val": ("val", "validation", "valid", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class ParquetImages:
    """Encoded images in one column of some files, read batch by batch.

    rows: the number of images in each file.
    """

    files: tuple[Place, ...]
    rows: tuple[int, ...]
    column: str

    def __len__(self) -> int:
        return sum(self.rows)

    def name(self, row: int) -> str:
        for file, count in zip(self.files, self.rows, strict=True):
            if row < count:
                return f"{file.name} row {row}"
            row -= count
        raise IndexError(row)

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        for file in self.files:
            yield from _encoded(file, self.column, length)


class ParquetSource(Source):
    """A folder of train, val and test files, each split in one file or several, in it or in its subfolder `data`.

    The image column holds encoded bytes, plain or as the field `bytes` of a struct. The label column holds
    integers, or lists (see `label_lists`). Class names come from classes.txt (one a line), else from the names that
    hubs store in the schema.
    """

    names: ClassVar[tuple[str, ...]] = ("parquet",)

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec
        self.path = located(spec.path, "parquet", ALLOWED)
        self.files = _files(self.path)
        self.names_file = (self.path if self.path.is_dir() else self.path.parent) / "classes.txt"

    @classmethod
    def recognises(cls, path: str | None) -> bool:
        if path is None or last_name(path).endswith(".parquet"):
            return path is not None
        root = place_of(path)
        try:
            folders = [folder for folder in (root, root / "data") if folder.is_dir()]
            return any(file.name.endswith(".parquet") for folder in folders for file in folder.iterdir())
        except OSError:
            return False  # a folder that may not be listed: FolderSource names it

    def stamps(self) -> tuple[str, ...]:
        files = [file for group in self.files.values() for file in group]
        return tuple(file_stamp(file) for file in (*files, self.names_file))

    def listing(self) -> Listing:
        files = [file for group in self.files.values() for file in group]
        problems = [problem for file in files for problem in _column_problems(file, self.spec)]
        if problems:
            raise InputError(problems)
        names = self._names()
        labels = {
            split: [_labels(file, self.spec.label_column) for file in group]
            for split, group in self.files.items()
        }
        arrays = as_arrays(labels, names)
        splits = {split: self._split(split, labels[split], arrays[split]) for split in self.files}
        return listing_of(splits, names, "data.path")

    def _split(self, split: str, labels_by_file: list[Labels], labels: NDArray[np.int64]) -> SourceSplit:
        rows = tuple(map(len, labels_by_file))
        return SourceSplit(ParquetImages(self.files[split], rows, self.spec.image_column), labels)

    def _names(self) -> list[str] | None:
        if self.names_file.is_file():
            lines = self.names_file.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()]
        return _schema_names(self.files["train"][0], self.spec.label_column)


def _files(path: Place) -> dict[str, tuple[Place, ...]]:
    if path.is_file():
        return {"train": (path,)}
    for folder in (path, path / "data"):
        files = {split: _split_files(folder, stems) for split, stems in STEMS.items()}
        if files["train"]:
            return {split: group for split, group in files.items() if group}
    there = ", ".join(sorted(file.name for file in path.iterdir())[:5]) or "nothing"
    raise InputError.single("data.path", f"{path} holds {there}", ALLOWED)


def _split_files(folder: Place, stems: Sequence[str]) -> tuple[Place, ...]:
    if not folder.is_dir():
        return ()
    globs = [glob for stem in stems for glob in (f"{stem}.parquet", f"{stem}-*.parquet")]
    files = [file for file in folder.iterdir() if any(fnmatchcase(file.name, glob) for glob in globs)]
    return tuple(sorted(files, key=str))


def _open(file: Place) -> Any:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        return parquet.ParquetFile(file.open() if isinstance(file, RemotePath) else file)
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Place, error: Exception) -> InputError:
    reason = "empty" if file.stat().st_size == 0 else str(error).splitlines()[0].rstrip(". ")
    return InputError.single("data.path", f"{file} cannot be read ({reason})", "a whole Parquet file")


def _column_problems(file: Place, spec: DataSpec) -> list[Problem]:
    schema = _open(file).schema_arrow
    columns = {"image_column": spec.image_column, "label_column": spec.label_column}
    there = f"one of the columns of {file}: {', '.join(schema.names)}"
    missing = [
        Problem(f"data.{key}", repr(name), there) for key, name in columns.items() if name not in schema.names
    ]
    if missing:
        return missing
    problems = []
    image_type, label_type = (schema.field(name).type for name in columns.values())
    if not _holds_images(image_type):
        given = f"{spec.image_column!r} of {file} holds {image_type}"
        allowed = "encoded images: binary, or a struct with a binary field 'bytes'"
        problems.append(Problem("data.image_column", given, allowed))
    if not _holds_labels(label_type):
        given = f"{spec.label_column!r} of {file} holds {label_type}"
        allowed = "class numbers: integers from 0, or lists of them"
        problems.append(Problem("data.label_column", given, allowed))
    return problems


def _holds_images(arrow_type: Any) -> bool:
    import pyarrow.types as types

    fields = range(arrow_type.num_fields) if types.is_struct(arrow_type) else ()
    names = [arrow_type.field(number).name for number in fields]
    inner = arrow_type.field("bytes").type if "bytes" in names else arrow_type
    return bool(types.is_binary(inner) or types.is_large_binary(inner))


def _holds_labels(arrow_type: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(arrow_type.value_type if is_list(arrow_type) else arrow_type))


def _labels(file: Place, column: str) -> Labels:
    """The labels in one file: class numbers, int64 (N,), or the list of each image."""
    import pyarrow

    try:
        values = _open(file).read(columns=[column]).column(column)
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(file, error) from error
    if values.null_count:
        row = values.is_null().to_pylist().index(True)
        raise InputError.single("data.path", f"{file} row {row}: no label", "class numbers: integers from 0")
    if is_list(values.type):
        return LabelLists(tuple(map(tuple, values.to_pylist())), str(file))
    return checked_labels(values.to_numpy(), "data.path", str(file))


def _encoded(file: Place, column: str, length: int) -> Iterator[Sequence[Item]]:
    import pyarrow
    import pyarrow.compute as compute

    try:
        for batch in _open(file).iter_batches(batch_size=length, columns=[column]):
            values = batch.column(0)
            if pyarrow.types.is_struct(values.type):
                values = compute.struct_field(values, "bytes")
            yield [value or b"" for value in values.to_pylist()]
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(file, error) from error


def _schema_names(file: Place, column: str) -> list[str] | None:
    """The class names that hubs keep as JSON under the schema's key `huggingface`, or None."""
    metadata = _open(file).schema_arrow.metadata or {}
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None
