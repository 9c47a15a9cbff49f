"""Cross-validation: train and validation as one, cut into parts, each of which is the validation set once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError
from toprung.trainables.task.task_type import class_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_IMAGES = 2  # of a class: whichever is validated, one is left to train on


def fold_numbers(labels: NDArray[np.int64], ranks: NDArray[np.float64], folds: int) -> NDArray[np.int64]:
    """The fold of each image, int64 (N,), from 0.

    Images are dealt to the folds in the order of their labels, those of one label in the order of their ranks: so the
    sizes of any two folds differ by one at most, in all and in each class (several labels of an image count as one
    combination). Equal images, whose ranks are equal, stay together.

    Args:
        labels: Class numbers (N,), or 0 and 1 for each class (N, classes).
        ranks: A number for each image from its content, (N,).
        folds: The number of folds.
    """
    groups = labels if labels.ndim == 1 else np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((ranks, groups))
    is_new = np.ones(len(order), bool)
    is_new[1:] = (np.diff(groups[order]) != 0) | (np.diff(ranks[order]) != 0)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = (np.cumsum(is_new) - 1) % folds
    return numbers


def check_folds(labels: NDArray[np.int64], classes: Sequence[str], folds: int) -> None:
    """Raise `InputError` where these images, of train and validation, are too few to be cut into folds."""
    if len(labels) < folds:
        raise InputError.single(
            "data.folds", f"{folds}, and there are {len(labels)} images", "at most as many"
        )
    counts = class_counts(labels, len(classes))
    rare = [
        f"{name!r} ({count})" for name, count in zip(classes, counts, strict=True) if 0 < count < LEAST_IMAGES
    ]
    if rare:
        given = f"too few images of {', '.join(rare)} in train and validation"
        raise InputError.single("data.folds", given, f"at least {LEAST_IMAGES} of each class")
