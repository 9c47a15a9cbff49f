"""Labels that come as one list an image, and the 0/1 matrix they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError
from toprung.trainables.data.sources.base import checked_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class LabelLists:
    """The list of each image in the file `title`."""

    rows: tuple[tuple[Any, ...], ...]
    title: str

    def __len__(self) -> int:
        return len(self.rows)


Labels = NDArray[np.int64] | LabelLists


def is_list(kind: Any) -> bool:
    """Whether an arrow type is some kind of list."""
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def as_arrays(
    labels: Mapping[str, Sequence[Labels]], names: Sequence[str] | None
) -> dict[str, NDArray[np.int64]]:
    """Each split's labels in one array: class numbers (N,), or for lists a 0/1 matrix (N, classes).

    Lists that are equally long and hold 0 and 1 alone are rows of the matrix; otherwise each is the numbers of its
    image's classes, of which there are as many as `names`, or as the largest number in train says. Raises InputError
    where some files have lists and others have not, and on a list that holds anything else.
    """
    files = [own for group in labels.values() for own in group]
    lists = [own for own in files if isinstance(own, LabelLists)]
    if not lists:
        return {split: np.concatenate(list(_arrays(group))) for split, group in labels.items()}
    if len(lists) < len(files):
        raise InputError.single(
            "data.label_column", "lists in some files and numbers in others", "one kind in all"
        )
    width = _matrix_width(lists)
    if width:
        matrices = {own.title: checked_labels(own.rows, "data.path", own.title) for own in lists}
    else:
        count = len(names) if names is not None else _counted(labels["train"])
        matrices = {own.title: _matrix(own, count) for own in lists}
    return {
        split: np.concatenate([matrices[own.title] for own in group if isinstance(own, LabelLists)])
        for split, group in labels.items()
    }


def _arrays(group: Iterable[Labels]) -> Iterable[NDArray[np.int64]]:
    return (own for own in group if not isinstance(own, LabelLists))


def _matrix_width(lists: Sequence[LabelLists]) -> int:
    """How long every list is if all are equally long and hold 0 and 1 alone, else 0."""
    widths = {len(row) for own in lists for row in own.rows}
    held = {value for own in lists for row in own.rows for value in row}
    return widths.pop() if len(widths) == 1 and max(widths) > 1 and held <= {0, 1} else 0


def _counted(group: Sequence[Labels]) -> int:
    values = (value for own in group if isinstance(own, LabelLists) for row in own.rows for value in row)
    count = max((value for value in values if value is not None), default=0) + 1
    images = sum(map(len, group))
    if count > images:
        given = f"fewer images than classes: {images} images, labels up to {count - 1}"
        raise InputError.single(
            "data.path", given, "labels from 0 to the number of classes - 1, each with images"
        )
    return int(count)


def _matrix(lists: LabelLists, classes: int) -> NDArray[np.int64]:
    matrix = np.zeros((len(lists), max(classes, 1)), np.int64)
    allowed = f"class numbers from 0 to {classes - 1}"
    for number, row in enumerate(lists.rows):
        for value in row:
            if value is None or not 0 <= value < classes:
                raise InputError.single("data.path", f"{lists.title} row {number}: label {value}", allowed)
        matrix[number, list(row)] = 1
    return matrix
