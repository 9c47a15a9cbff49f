"""What is asked about an image: one class of several, one of two by a single output, or every class that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

SOFTMAX, BINARY, MULTILABEL = "softmax", "binary", "multilabel"
KINDS = (SOFTMAX, BINARY, MULTILABEL)
AUTO = "auto"


def outputs_of(task_type: str, classes: int) -> int:
    """How many outputs a model has: one for each class, or one alone that tells the second of two from the first."""
    return 1 if task_type == BINARY else classes


def class_counts(labels: Any, classes: int) -> list[int]:
    """Images of each class, from class numbers (N,) or from a 0/1 matrix (N, classes)."""
    import numpy as np

    array = np.asarray(labels)
    counted = np.bincount(array, minlength=classes) if array.ndim == 1 else array.sum(axis=0)
    counts: list[int] = counted.tolist()
    return counts


def resolve_task_type(
    labels: Mapping[str, NDArray[np.int64]], classes: int, asked: str = AUTO
) -> tuple[str, dict[str, NDArray[np.int64]]]:
    """The task_type of a task and its labels by part as that task_type has them, from what a source gave.

    Softmax and binary have class numbers (N,), multilabel a 0/1 matrix (N, classes). `auto` takes class numbers for
    softmax and a matrix for multilabel, unless each of its rows names one class: then that is its class number.
    Raises InputError at `data.task` where the labels, or the number of classes, are not what the task_type needs.
    """
    is_matrix = labels["train"].ndim == 2
    if asked == MULTILABEL or (asked == AUTO and is_matrix and not _names_one_class(labels)):
        if not is_matrix:
            raise _unfit(MULTILABEL, "one class number an image", "labels of 0 and 1, one for each class")
        return MULTILABEL, dict(labels)
    task_type = SOFTMAX if asked == AUTO else asked
    if task_type == BINARY and classes != 2:
        raise _unfit(task_type, f"{classes} classes", "2 classes, or another task")
    if is_matrix and not _names_one_class(labels):
        raise _unfit(task_type, "images of no class or of several", "one class an image, or multilabel")
    numbers = {part: own.argmax(axis=1) if own.ndim == 2 else own for part, own in labels.items()}
    return task_type, numbers


def _names_one_class(labels: Mapping[str, NDArray[np.int64]]) -> bool:
    return all(bool((own.sum(axis=1) == 1).all()) for own in labels.values())


def _unfit(task_type: str, given: str, allowed: str) -> InputError:
    return InputError.single("data.task", f"{task_type}, but the labels give {given}", allowed)
