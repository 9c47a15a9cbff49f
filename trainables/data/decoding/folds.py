"""Cross-validation: train and validation as one, cut into parts, each of which is the validation set once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def check_folds(images: int, class_counts: Mapping[str, int], folds: int) -> None:
    """Raise `InputError` where train and validation together are too few to be cut into folds.

    Args:
        images: Their number.
        class_counts: By class, the number of them.
        folds: The number of folds.
    """
    if images < folds:
        raise InputError.single("data.folds", f"{folds}, and there are {images} images", "at most as many")
    rare = [f"{name!r} ({count})" for name, count in class_counts.items() if 0 < count < LEAST_IMAGES]
    if rare:
        given = f"too few images of {', '.join(rare)} in train and validation"
        raise InputError.single("data.folds", given, f"at least {LEAST_IMAGES} of each class")
