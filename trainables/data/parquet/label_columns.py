"""The label column of Parquet files as arrays: numbers, flags, texts, dictionaries of them, and lists of any."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError
from toprung.trainables.data.parquet.label_lists import LabelLists, Labels, as_arrays, is_list
from toprung.trainables.data.parquet.parquet_files import open_parquet, unreadable
from toprung.trainables.data.source_rules.base import checked_labels
from toprung.trainables.data.source_rules.text_labels import is_unlabelled, left_out, names_of, numbered_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from toprung.trainables.data.source_rules.paths import Place

FLAGS = ("false", "true")
RULE = "class numbers: integers from 0"


@dataclass(frozen=True)
class LabelColumn:
    """The labels of all files.

    arrays: split -> class numbers (N,), or where they are lists a 0/1 matrix (N, classes).
    rows: split -> the number of images in each file.
    class_names: those that were given, or the texts; None where labels are numbers without names.
    notes: a line for each split that is left out because it has no labels.
    """

    arrays: Mapping[str, NDArray[np.int64]]
    rows: Mapping[str, tuple[int, ...]]
    class_names: Sequence[str] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _FileLabels:
    """The values in one file; `kind` is "text", "flag" or "number", and `is_list` says whether each row has several."""

    display_name: str
    rows: list[Any]
    kind: str
    is_list: bool

    @property
    def values(self) -> Iterable[Any]:
        return chain.from_iterable(row or () for row in self.rows) if self.is_list else self.rows


def read_label_column(
    splits: Mapping[str, Sequence[Place]],
    column: str,
    names: Sequence[str] | None,
    folder_values: Mapping[str, Mapping[str, str | None]] | None = None,
) -> LabelColumn:
    """Read the labels of all files.

    Args:
        splits: Split -> its files.
        column: The name of the column, which all files have; or the key of the folders that hold the labels.
        names: The class names; None numbers the texts in sorted order, and counts the classes where labels are numbers.
        folder_values: As of `ParquetFiles`; None where the labels are in a column.

    Raises:
        InputError: A label is missing or is no class, or some files hold texts or lists and others do not.
    """
    if folder_values is None:
        files = {split: [_read(file, column) for file in group] for split, group in splits.items()}
    else:
        files = _of_folders(splits, column, folder_values)
    unlabelled = [
        split
        for split, group in files.items()
        if split != "train" and all(not file.is_list and is_unlabelled(file.rows) for file in group)
    ]
    labelled = {split: group for split, group in files.items() if split not in unlabelled}
    kinds = {file.kind for group in labelled.values() for file in group}
    if len(kinds) > 1:
        given = f"{' in some files and '.join(f'{kind}s' for kind in sorted(kinds))} in others"
        raise InputError.single("data.label_column", given, "the same in all files")
    if kinds == {"text"}:
        names = names_of(chain.from_iterable(file.values for file in labelled["train"]), names)
    elif kinds == {"flag"}:
        names = names or FLAGS
    labels = {split: [_numbers(file, names) for file in group] for split, group in labelled.items()}
    rows = {split: tuple(len(file.rows) for file in group) for split, group in labelled.items()}
    return LabelColumn(as_arrays(labels, names), rows, names, tuple(map(left_out, unlabelled)))


def holds_labels(arrow_type: Any) -> bool:
    """Whether a column of this pyarrow type can hold labels."""
    return _kind(arrow_type) is not None


def _kind(arrow_type: Any) -> str | None:
    import pyarrow.types as types

    value_type = arrow_type.value_type if is_list(arrow_type) else arrow_type
    if types.is_dictionary(value_type):
        value_type = value_type.value_type
    if types.is_boolean(value_type):
        return "flag"
    if types.is_string(value_type) or types.is_large_string(value_type) or types.is_string_view(value_type):
        return "text"
    is_number = types.is_integer(value_type) or types.is_floating(value_type) or types.is_null(value_type)
    return "number" if is_number else None


def _read(file: Place, column: str) -> _FileLabels:
    import pyarrow

    try:
        values = open_parquet(file).read(columns=[column]).column(column)
    except (OSError, pyarrow.ArrowException) as error:
        raise unreadable(file, error) from error
    kind = _kind(values.type)
    assert kind is not None, "the columns were checked before"
    return _FileLabels(str(file), values.to_pylist(), kind, is_list(values.type))


def _of_folders(
    splits: Mapping[str, Sequence[Place]], key: str, values: Mapping[str, Mapping[str, str | None]]
) -> dict[str, list[_FileLabels]]:
    """All rows of a file have the label of its folder; the labels are numbers where all of them are written as such."""
    labels = {str(file): values[str(file)].get(key) for group in splits.values() for file in group}
    are_numbers = all(label is None or label.isdecimal() for label in labels.values())

    def of_file(file: Place) -> _FileLabels:
        label = labels[str(file)]
        value = int(label) if are_numbers and label is not None else label
        rows = [value] * open_parquet(file).metadata.num_rows
        return _FileLabels(str(file), rows, "number" if are_numbers else "text", is_list=False)

    return {split: [of_file(file) for file in group] for split, group in splits.items()}


def _numbers(file: _FileLabels, names: Sequence[str] | None) -> Labels:
    if None in file.rows:
        given = f"{file.display_name} row {file.rows.index(None)}: no label"
        raise InputError.single("data.path", given, RULE)
    if not file.is_list:
        rows = (
            numbered_texts(file.rows, names or (), "data.path", file.display_name)
            if file.kind == "text"
            else file.rows
        )
        return checked_labels(rows, "data.path", file.display_name)
    lists = file.rows
    if file.kind == "text":
        lists = [numbered_texts(row, names or (), "data.path", file.display_name) for row in lists]
    return LabelLists(tuple(tuple(map(_whole, row)) for row in lists), file.display_name)


def _whole(value: Any) -> Any:
    """An integer where a number or flag is one; anything else as it is, to be refused with its row."""
    return int(value) if isinstance(value, bool | float) and value == int(value) else value
