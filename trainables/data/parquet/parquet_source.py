"""Parquet files with encoded images, in the layout of dataset hubs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from toprung.spaces.errors import InputError
from toprung.trainables.data.parquet.label_columns import read_label_column
from toprung.trainables.data.parquet.parquet_columns import Columns
from toprung.trainables.data.parquet.parquet_files import (
    ALLOWED,
    find_parquet_files,
    holds_parquet,
    is_parquet,
    open_parquet,
    unreadable,
)
from toprung.trainables.data.source_rules.base import (
    Item,
    Listing,
    Source,
    SourceSplit,
    file_stamp,
    listing_of,
)
from toprung.trainables.data.source_rules.paths import Place, located, place_of
from toprung.trainables.system.uris import last_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.trainables.data.source_rules.spec import DataSpec


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
    """A folder of train, val and test files (see `parquet_files`), or one file.

    The image column holds encoded bytes, plain or as the field `bytes` of a struct (see `parquet_columns`). The label
    column holds integers, texts or flags, or lists (see `label_columns`), or the folders say it (see `hive_folders`).
    Class names come from classes.txt (one a line), else from the names that hubs store in the schema, else from labels
    that are texts.
    """

    names: ClassVar[tuple[str, ...]] = ("parquet",)

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec
        self.path = located(spec.path, "parquet", ALLOWED)
        self.found = find_parquet_files(self.path)
        self.names_file = (self.path if self.path.is_dir() else self.path.parent) / "classes.txt"

    @classmethod
    def recognises(cls, path: str | None) -> bool:
        if path is None or is_parquet(last_name(path)):
            return path is not None
        try:
            return holds_parquet(place_of(path))
        except OSError:
            return False  # a folder that may not be listed: FolderSource names it

    def stamps(self) -> tuple[str, ...]:
        files = [file for group in self.found.splits.values() for file in group]
        return tuple(file_stamp(file) for file in (*files, self.names_file))

    def unused(self) -> tuple[str, ...]:
        return self.found.unused

    def listing(self) -> Listing:
        splits = self.found.splits
        files = [file for group in splits.values() for file in group]
        schemas = [open_parquet(file).schema_arrow for file in files]
        first = splits["train"][0]
        said = self.found.folder_values
        columns = Columns.of(schemas[files.index(first)], self.spec, said.get(str(first), {}))
        checked = zip(files, schemas, strict=True)
        problems = [problem for file, schema in checked for problem in columns.problems(file, schema)]
        if problems:
            raise InputError(problems)
        from_folders = said if columns.is_label_in_folders else None
        labels = read_label_column(splits, columns.label, self._names(columns), from_folders)
        found = {
            split: SourceSplit(ParquetImages(splits[split], labels.rows[split], columns.image), array)
            for split, array in labels.arrays.items()
        }
        return listing_of(found, labels.class_names, "data.path", (*columns.notes(self.spec), *labels.notes))

    def _names(self, columns: Columns) -> Sequence[str] | None:
        if self.names_file.is_file():
            lines = self.names_file.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()]
        return columns.class_names


def _encoded(file: Place, column: str, length: int) -> Iterator[Sequence[Item]]:
    import pyarrow
    import pyarrow.compute as compute

    try:
        for batch in open_parquet(file).iter_batches(batch_size=length, columns=[column]):
            values = batch.column(0)
            if pyarrow.types.is_struct(values.type):
                values = compute.struct_field(values, "bytes")
            yield [value or b"" for value in values.to_pylist()]
    except (OSError, pyarrow.ArrowException) as error:
        raise unreadable(file, error) from error
