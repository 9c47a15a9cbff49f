"""Parquet files with encoded images, as dataset hubs lay them out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.sources.base import (
    Item,
    Listing,
    SourceSplit,
    checked_labels,
    file_stamp,
    listing_of,
)
from toprung.trainables.data.sources.label_lists import LabelLists, Labels, as_arrays, is_list
from toprung.trainables.data.sources.paths import Place, RemotePath, located

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from toprung.trainables.data.sources.spec import DataSpec

WANTED = "a folder with train.parquet or train-*.parquet (and val, test), or one .parquet file"
STEMS = {"train": ("train",), "val": ("val", "validation", "valid", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class ParquetImages:
    """Encoded images in one column of some files, streamed batch by batch; `rows` counts each file's."""

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


class ParquetSource:
    """A folder of train, val and test files, each one file or shards, in it or in its subfolder `data`.

    The image column holds encoded bytes, plain or as the field `bytes` of a struct; the label column
    integers, or lists: of the numbers of an image's classes, or of a 0 or 1 for each class where all lists are equally
    long and hold nothing else. Class names come from classes.txt (one a line), else from the names hubs
    store in the schema.
    """

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec
        self.path = located(spec.path, "parquet", WANTED)
        self.files = _files(self.path)
        self.names_file = (self.path if self.path.is_dir() else self.path.parent) / "classes.txt"

    def stamps(self) -> tuple[str, ...]:
        files = [file for group in self.files.values() for file in group]
        return tuple(file_stamp(file) for file in (*files, self.names_file))

    def listing(self) -> Listing:
        problems = [
            p for group in self.files.values() for file in group for p in _column_problems(file, self.spec)
        ]
        if problems:
            raise InputError(problems)
        names = self._names()
        labels = {
            split: [_labels(file, self.spec.label_column) for file in group]
            for split, group in self.files.items()
        }
        numbers = as_arrays(labels, names)
        parts = {split: self._part(split, labels[split], numbers[split]) for split in self.files}
        return listing_of(parts, names, "data.path")

    def _part(self, split: str, found: list[Labels], numbers: NDArray[np.int64]) -> SourceSplit:
        rows = tuple(len(own) for own in found)
        return SourceSplit(ParquetImages(self.files[split], rows, self.spec.image_column), numbers)

    def _names(self) -> list[str] | None:
        if self.names_file.is_file():
            lines = self.names_file.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()]
        return _schema_names(self.files["train"][0], self.spec.label_column)


def _files(path: Place) -> dict[str, tuple[Place, ...]]:
    if path.is_file():
        return {"train": (path,)}
    for folder in (path, path / "data"):
        found = {split: _shards(folder, stems) for split, stems in STEMS.items()}
        if found["train"]:
            return {split: files for split, files in found.items() if files}
    there = ", ".join(sorted(file.name for file in path.iterdir())[:5]) or "nothing"
    raise InputError.single("data.path", f"{path} holds {there}", WANTED)


def _shards(folder: Place, stems: Sequence[str]) -> tuple[Place, ...]:
    if not folder.is_dir():
        return ()
    globs = [glob for stem in stems for glob in (f"{stem}.parquet", f"{stem}-*.parquet")]
    found = [file for file in folder.iterdir() if any(fnmatchcase(file.name, glob) for glob in globs)]
    return tuple(sorted(found, key=str))


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
    import pyarrow.types as types

    schema = _open(file).schema_arrow
    keys = {"image_column": spec.image_column, "label_column": spec.label_column}
    there = f"one of the columns of {file}: {', '.join(schema.names)}"
    missing = [
        Problem(f"data.{key}", repr(name), there) for key, name in keys.items() if name not in schema.names
    ]
    if missing:
        return missing
    problems = []
    kind = schema.field(spec.image_column).type
    names = [kind.field(i).name for i in range(kind.num_fields)] if types.is_struct(kind) else []
    inner = kind.field("bytes").type if "bytes" in names else kind
    if not (types.is_binary(inner) or types.is_large_binary(inner)):
        allowed = "encoded images: binary, or a struct with a binary field 'bytes'"
        given = f"{spec.image_column!r} of {file} holds {kind}"
        problems.append(Problem("data.image_column", given, allowed))
    kind = schema.field(spec.label_column).type
    if not types.is_integer(kind.value_type if is_list(kind) else kind):
        given = f"{spec.label_column!r} of {file} holds {kind}"
        problems.append(
            Problem("data.label_column", given, "class numbers: integers from 0, or lists of them")
        )
    return problems


def _labels(file: Place, column: str) -> Labels:
    """Class numbers, int64 (N,), or the list of each image."""
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
    """The class names hubs keep as JSON under the schema's key `huggingface`, or None."""
    metadata = _open(file).schema_arrow.metadata or {}
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None
