"""What a source of labelled images offers, and the checks that the labels of every source go through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.source_rules.paths import Place
from toprung.trainables.task.task_type import SOFTMAX, TaskType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toprung.trainables.data.source_rules.spec import DataSpec

Item = bytes | Place | NDArray[np.uint8]
"""One image as a source hands it over: encoded bytes, a file, or uint8 pixels (H, W, C)."""


class Images(Protocol):
    """The images of one split, read in order, and never all at once unless they are in memory already."""

    def __len__(self) -> int: ...

    def name(self, row: int) -> str:
        """The name of image `row` (from 0) in messages: a file, or a file and a row."""

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        """All images in order, at most `length` at a time; a missing one as empty bytes."""


@dataclass(frozen=True)
class SourceSplit:
    """The images of one split of a source, and their labels.

    labels: class numbers, int64 (N,), or 0 and 1 for each class, int64 (N, classes).
    """

    images: Images
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Listing:
    """Everything a source holds.

    classes: the class names; class numbers and the columns of a label matrix are indices into them.
    splits: "train", and "val" and "test" where the source has them -> images and labels.
    task_type: the type of task that the job and the labels give (see `trainables.task.task_type`).
    notes: a line for each kind of content that is not used, or is used in an unusual way.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, SourceSplit]
    task_type: TaskType = SOFTMAX
    notes: tuple[str, ...] = ()


class Source(ABC):
    """Where labelled images come from. A new one is a class in a file of its own, and its line in `registry.SOURCES`.

    names: the values of `data.source` that stand for it.
    default_image_size: the side in pixels that images are resized to where the spec gives none; None keeps theirs.
    """

    names: ClassVar[tuple[str, ...]] = ()
    default_image_size: ClassVar[int | None] = None

    @abstractmethod
    def __init__(self, spec: DataSpec) -> None:
        """Raises InputError for a path or other setting that the source cannot use."""

    @classmethod
    def recognises(cls, path: str | None) -> bool:
        """Whether a job that gives this `data.path` (None: none) and no source means this one."""
        del path
        return False

    @abstractmethod
    def stamps(self) -> tuple[str, ...]:
        """Texts that change when the content may have: names, sizes and times of the files. Decodes nothing."""

    def unused(self) -> tuple[str, ...]:
        """A line for each kind of file or folder that is not used, as far as names tell; read at each start."""
        return ()

    @abstractmethod
    def listing(self) -> Listing:
        """Class names, labels and the images to be decoded. Raises InputError for content that cannot be used."""


def file_stamp(path: Place, name: str | None = None) -> str:
    """Name, size in bytes and modification time in ns of a file; a file that does not exist has a stamp too."""
    try:
        stat = path.stat()
    except OSError:
        return f"{name or path} absent"
    return f"{name or path} {stat.st_size} {stat.st_mtime_ns}"


def numbered(count: int) -> tuple[str, ...]:
    """The names "0", "1", ... of classes that have only numbers."""
    return tuple(str(number) for number in range(count))


def checked_labels(
    labels: Any, where: str, display_name: str, images: int | None = None
) -> NDArray[np.int64]:
    """The labels of one split as int64: class numbers (N,), or a matrix (N, classes) of 0 and 1.

    Args:
        labels: Array-like of integers, flags, or whole numbers stored as floats. (N, 1) is taken as (N,).
        where: The key of the job that an error points at.
        display_name: The file and split in messages.
        images: The number of images that there must be a label for; None does not check it.

    Raises:
        InputError: The first label that is NaN, no integer from 0, or (of a matrix) neither 0 nor 1; or another shape.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        given = f"{display_name}: labels of shape {array.shape}"
        raise InputError.single(where, given, "class numbers (N,), or 0 and 1 for each class (N, classes)")
    if images is not None and len(array) != images:
        given = f"{display_name}: {len(array)} labels for {images} images"
        raise InputError.single(where, given, "one label for each image")
    if array.ndim == 2:
        return _integers(array, where, display_name, "0 and 1, one for each class", below=2)
    return _integers(array, where, display_name, "class numbers: integers from 0", below=2**31)


def listing_of(
    splits: Mapping[str, SourceSplit], names: Sequence[str] | None, where: str, notes: Sequence[str] = ()
) -> Listing:
    """The listing of a source whose labels were checked one split at a time.

    Args:
        splits: As in `Listing`.
        names: The class names; None numbers the classes up to the largest training label, or the number of columns.
        where: The key of the job that an error points at.
        notes: As in `Listing`.

    Raises:
        InputError: A problem for each split with a label that has no class, or with labels of another form than train.
    """
    classes = _class_names(names, splits["train"].labels, where)
    problems = list(_form_problems(splits, len(classes), where)) or list(
        _range_problems(splits, len(classes), where)
    )
    if problems:
        raise InputError(problems)
    return Listing(classes, splits, notes=tuple(notes))


def _integers(
    array: NDArray[Any], where: str, display_name: str, allowed: str, below: int
) -> NDArray[np.int64]:
    if array.dtype.kind not in "biuf":
        raise InputError.single(where, f"{display_name}: labels of type {array.dtype}", allowed)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.isfinite(array) & (array == np.floor(array)) & (array >= 0) & (array < below))
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        more = f" (and {int(wrong.sum()) - 1} more)" if wrong.sum() > 1 else ""
        given = f"{display_name} row {first[0]}: label {array[first]}{more}"
        raise InputError.single(where, given, allowed)
    return array.astype(np.int64)


def _form_problems(splits: Mapping[str, SourceSplit], classes: int, where: str) -> Iterator[Problem]:
    """Splits whose labels are not a matrix where those of train are, or the reverse, or lack a column for a class."""
    expected = splits["train"].labels.shape[1:] and (classes,)
    allowed = f"{classes} columns, one for each class" if expected else "class numbers, as in train"
    for name, split in splits.items():
        if split.labels.shape[1:] != expected:
            yield Problem(where, f"{name}: labels of shape {split.labels.shape}", allowed)


def _range_problems(splits: Mapping[str, SourceSplit], classes: int, where: str) -> Iterator[Problem]:
    """The first class number of each split that has no class."""
    allowed = f"0 to {classes - 1}: there are {classes} classes"
    for split in splits.values():
        if split.labels.ndim == 1:
            for row in np.flatnonzero(split.labels >= classes)[:1].tolist():
                given = f"{split.images.name(row)}: label {split.labels[row]} is out of range"
                yield Problem(where, given, allowed)


def _class_names(names: Sequence[str] | None, labels: NDArray[np.int64], where: str) -> tuple[str, ...]:
    if names is not None:
        return _checked_names(names, where)
    if labels.ndim == 2:
        return numbered(labels.shape[1])
    count = int(labels.max()) + 1 if len(labels) else 0
    if count > len(labels):
        # Checked before the names are made: one stray label of two thousand million would make as many.
        given = f"fewer images than classes: {len(labels)} images, labels up to {count - 1}"
        raise InputError.single(where, given, "labels from 0 to the number of classes - 1, each with images")
    return numbered(count)


def _checked_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InputError.single(where, f"classes given as {names!r}", "a list of class names")
    classes = tuple(str(name) for name in names)
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated:
        given = f"class {repeated[0]!r} is named twice"
        raise InputError.single(where, given, "a name of its own for each class")
    return classes
