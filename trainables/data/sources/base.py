"""What a source of labelled images must offer, and the checks every source's labels go through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.sources.paths import Place
from toprung.trainables.task.task_type import SOFTMAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


# One image as a source hands it over: encoded bytes, a file, or uint8 pixels (H, W, C).
Item = bytes | Place | NDArray[np.uint8]


class Images(Protocol):
    """The images of one part, read in order and never all at once unless they are in memory already."""

    def __len__(self) -> int: ...

    def name(self, row: int) -> str:
        """What a person calls image `row` (0-based): a file, or a file and a row."""

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        """All images in order, at most `length` at a time; None-like damage is handed over as empty bytes."""


@dataclass(frozen=True)
class SourceSplit:
    """One part of a source: its images and their class numbers, int64 (N,), or a 0/1 matrix, int64 (N, classes)."""

    images: Images
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Listing:
    """All a source holds: class names, and its parts by split ("train" always, "val", "test" if there).

    `task_type` is what the job's task makes of the labels (see `trainables.task.task_type`).
    """

    classes: tuple[str, ...]
    parts: Mapping[str, SourceSplit]
    task_type: str = SOFTMAX


class Source(Protocol):
    """A place labelled images come from; made from a DataSpec."""

    def stamps(self) -> tuple[str, ...]:
        """What changes when the content may have: names, sizes and times of the files. Decodes nothing."""

    def listing(self) -> Listing:
        """Labels and images to be decoded. Raises InputError on a source that cannot be used."""


def file_stamp(path: Place, name: str | None = None) -> str:
    """Name, size and modification time (ns) of a file; an absent one has a stamp too."""
    try:
        stat = path.stat()
    except OSError:
        return f"{name or path} absent"
    return f"{name or path} {stat.st_size} {stat.st_mtime_ns}"


def numbered(count: int) -> tuple[str, ...]:
    """Class names for classes that have only numbers."""
    return tuple(str(number) for number in range(count))


def checked_labels(labels: Any, where: str, title: str, images: int | None = None) -> NDArray[np.int64]:
    """Labels as int64: class numbers (N,), (N, 1) being flattened, or a matrix (N, classes) of 0 and 1.

    Raises InputError at `where`, naming `title` and the first wrong row, when they are not integers from 0
    (or 0 and 1), hold NaN, or are not as many as the images. Whole numbers stored as floats are taken.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        given = f"{title}: labels of shape {array.shape}"
        raise InputError.single(where, given, "class numbers (N,), or 0 and 1 for each class (N, classes)")
    if images is not None and len(array) != images:
        raise InputError.single(
            where, f"{title}: {len(array)} labels for {images} images", "one label an image"
        )
    if array.ndim == 2:
        return _whole_labels(array, where, title, "0 and 1, one for each class", below=2)
    return _whole_labels(array, where, title, "class numbers: integers from 0", below=2**31)


def _whole_labels(array: NDArray[Any], where: str, title: str, allowed: str, below: int) -> NDArray[np.int64]:
    if array.dtype.kind not in "biuf":
        raise InputError.single(where, f"{title}: labels of type {array.dtype}", allowed)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.isfinite(array) & (array == np.floor(array)) & (array >= 0) & (array < below))
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        more = f" (and {int(wrong.sum()) - 1} more)" if wrong.sum() > 1 else ""
        raise InputError.single(where, f"{title} row {first[0]}: label {array[first]}{more}", allowed)
    return array.astype(np.int64)


def listing_of(parts: Mapping[str, SourceSplit], names: Sequence[str] | None, where: str) -> Listing:
    """A listing whose labels all have a class: those named, or 0 to the largest training label or column.

    Raises InputError at `where` with a problem for each part that has a label out of range, or other columns.
    """
    classes = _named(names, parts["train"].labels, where)
    problems = list(_column_problems(parts, len(classes), where))
    if problems:
        raise InputError(problems)
    allowed = f"0 to {len(classes) - 1}: there are {len(classes)} classes"
    problems = [
        Problem(where, f"{part.images.name(row)}: label {part.labels[row]} is out of range", allowed)
        for part in parts.values()
        if part.labels.ndim == 1
        for row in np.flatnonzero(part.labels >= len(classes))[:1].tolist()
    ]
    if problems:
        raise InputError(problems)
    return Listing(classes, parts)


def _column_problems(parts: Mapping[str, SourceSplit], classes: int, where: str) -> Iterator[Problem]:
    """Parts whose labels are of another form than those of train, or have not a column for each class."""
    wanted = parts["train"].labels.shape[1:] and (classes,)
    rule = f"{classes} columns, one for each class" if wanted else "class numbers, as the training labels are"
    for split, part in parts.items():
        if part.labels.shape[1:] != wanted:
            yield Problem(where, f"{split}: labels of shape {part.labels.shape}", rule)


def _checked_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InputError.single(where, f"classes given as {names!r}", "a list of class names")
    classes = tuple(str(name) for name in names)
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise InputError.single(
            where, f"class {twice[0]!r} is named twice", "a name of its own for each class"
        )
    return classes


def _named(names: Sequence[str] | None, labels: NDArray[np.int64], where: str) -> tuple[str, ...]:
    if names is not None:
        return _checked_names(names, where)
    if labels.ndim == 2:
        return numbered(labels.shape[1])
    count = int(labels.max()) + 1 if len(labels) else 0
    if count > len(labels):
        # Before any name is made: one stray label of two thousand million would make as many.
        given = f"fewer images than classes: {len(labels)} images, labels up to {count - 1}"
        raise InputError.single(where, given, "labels from 0 to the number of classes - 1, each with images")
    return numbered(count)


FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
