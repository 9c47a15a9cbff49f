"""Labels that come as one list for each image, turned into a 0/1 matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError
from toprung.trainables.data.source_rules.base import checked_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class LabelLists:
    """The labels in one file: a list for each image.

    display_name: the file in messages.
    """

    rows: tuple[tuple[int | None, ...], ...]
    display_name: str

    def __len__(self) -> int:
        return len(self.rows)


Labels = NDArray[np.int64] | LabelLists


def is_list(arrow_type: Any) -> bool:
    """Whether a pyarrow type is a list, of fixed or variable length."""
    import pyarrow.types as types

    of_any_length = types.is_list(arrow_type) or types.is_large_list(arrow_type)
    return bool(of_any_length or types.is_fixed_size_list(arrow_type))


def as_arrays(
    labels: Mapping[str, Sequence[Labels]], names: Sequence[str] | None
) -> dict[str, NDArray[np.int64]]:
    """Each split's labels in one array: class numbers (N,), or where they are lists a 0/1 matrix (N, classes).

    Lists that are all equally long and hold only 0 and 1 are the rows of the matrix. Otherwise a list holds the numbers
    of the classes of its image.

    Args:
        labels: Split -> the labels in each of its files.
        names: The class names; None counts the classes up to the largest number in train.

    Raises:
        InputError: Some files have lists and others have not, or a list holds something else.
    """
    files = [file for group in labels.values() for file in group]
    lists = [file for file in files if isinstance(file, LabelLists)]
    if not lists:
        return {split: np.concatenate(list(_arrays(group))) for split, group in labels.items()}
    if len(lists) < len(files):
        given = "lists in some files and numbers in others"
        raise InputError.single("data.label_column", given, "the same in all files")
    if _are_rows(lists):
        matrices = {
            file.display_name: checked_labels(file.rows, "data.path", file.display_name) for file in lists
        }
    else:
        classes = len(names) if names is not None else _class_count(labels["train"])
        matrices = {file.display_name: _matrix(file, classes) for file in lists}
    return {
        split: np.concatenate([matrices[file.display_name] for file in group if isinstance(file, LabelLists)])
        for split, group in labels.items()
    }


def _arrays(group: Iterable[Labels]) -> Iterable[NDArray[np.int64]]:
    return (file for file in group if not isinstance(file, LabelLists))


def _are_rows(lists: Sequence[LabelLists]) -> bool:
    """Whether the lists are rows of a 0/1 matrix."""
    lengths = {len(row) for file in lists for row in file.rows}
    values = {value for file in lists for row in file.rows for value in row}
    return len(lengths) == 1 and max(lengths) > 1 and values <= {0, 1}


def _class_count(group: Sequence[Labels]) -> int:
    values = (value for file in group if isinstance(file, LabelLists) for row in file.rows for value in row)
    count = max((value for value in values if value is not None), default=0) + 1
    images = sum(map(len, group))
    if count > images:
        given = f"fewer images than classes: {images} images, labels up to {count - 1}"
        allowed = "labels from 0 to the number of classes - 1, each with images"
        raise InputError.single("data.path", given, allowed)
    return int(count)


def _matrix(lists: LabelLists, classes: int) -> NDArray[np.int64]:
    matrix = np.zeros((len(lists), max(classes, 1)), np.int64)
    allowed = f"class numbers from 0 to {classes - 1}"
    for number, row in enumerate(lists.rows):
        for value in row:
            if value is None or not 0 <= value < classes:
                given = f"{lists.display_name} row {number}: label {value}"
                raise InputError.single("data.path", given, allowed)
            matrix[number, value] = 1
    return matrix
