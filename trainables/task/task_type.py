"""Types of task: one class of several, one of two by a single output, or any number of classes for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

TaskType = Literal["softmax", "binary", "multilabel"]
SOFTMAX: TaskType = "softmax"
BINARY: TaskType = "binary"
MULTILABEL: TaskType = "multilabel"

RequestedTask = Literal["auto", TaskType]
"""What a job may ask for; "auto" takes the type that the labels have."""
AUTO: RequestedTask = "auto"


def outputs_of(task_type: TaskType, classes: int) -> int:
    """The number of outputs of a model: one for each class; in a binary task one, for the second class."""
    return 1 if task_type == BINARY else classes


def class_counts(labels: ArrayLike, classes: int) -> list[int]:
    """The number of images of each class, from class numbers (N,) or a 0/1 matrix (N, classes)."""
    import numpy as np

    array = np.asarray(labels)
    if not array.size:
        return [0] * classes
    counted = np.bincount(array, minlength=classes) if array.ndim == 1 else array.sum(axis=0)
    counts: list[int] = counted.tolist()
    return counts


def resolve_task_type(
    labels: Mapping[str, NDArray[np.int64]], classes: int, requested: RequestedTask = AUTO
) -> tuple[TaskType, dict[str, NDArray[np.int64]]]:
    """The type of a task, and its labels in the form of that type.

    Softmax and binary have class numbers (N,), multilabel a 0/1 matrix (N, classes). `auto` takes class numbers for
    softmax and a matrix for multilabel, unless each row of the matrix names exactly one class: that is a class number.

    Args:
        labels: Split -> labels, in either form.
        classes: The number of classes.
        requested: A type of task, or `auto`.

    Raises:
        InputError: At `data.task`: the requested type needs other labels, or another number of classes.
    """
    is_matrix = labels["train"].ndim == 2
    if requested == MULTILABEL or (requested == AUTO and is_matrix and not _name_one_class(labels)):
        if not is_matrix:
            raise _unfit(
                MULTILABEL, "one class number for each image", "labels of 0 and 1, one for each class"
            )
        return MULTILABEL, dict(labels)
    task_type: TaskType = SOFTMAX if requested == "auto" else requested
    if task_type == BINARY and classes != 2:
        raise _unfit(task_type, f"{classes} classes", "2 classes, or another task")
    if is_matrix and not _name_one_class(labels):
        raise _unfit(task_type, "images of no class or of several", "one class for each image, or multilabel")
    numbers = {
        split: values.argmax(axis=1) if values.ndim == 2 else values for split, values in labels.items()
    }
    return task_type, numbers


def _name_one_class(labels: Mapping[str, NDArray[np.int64]]) -> bool:
    return all(bool((matrix.sum(axis=1) == 1).all()) for matrix in labels.values())


def _unfit(task_type: str, given: str, allowed: str) -> InputError:
    return InputError.single("data.task", f"{task_type}, but the labels give {given}", allowed)
