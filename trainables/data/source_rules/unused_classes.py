"""Classes that no image has: they are left out, since nothing can be learned of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.data.source_rules.first_names import first_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MAX_NAMED = 10


def without_unused_classes(
    classes: Sequence[str], labels: Mapping[str, NDArray[np.int64]]
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]], tuple[str, ...]]:
    """Leave out the classes that no image of any split has.

    Args:
        classes: The class names.
        labels: Split -> class numbers (N,), or 0 and 1 for each class (N, classes).

    Returns:
        The names that are left, the labels as numbers or columns of these, and a note if there is anything to note.
    """
    used = np.zeros(len(classes), bool)
    for array in labels.values():
        used |= (
            array.any(axis=0) if array.ndim == 2 else np.bincount(array, minlength=len(classes)).astype(bool)
        )
    if used.all() or not used.any():
        return tuple(classes), dict(labels), ()
    kept = np.flatnonzero(used)
    unused = [name for name, is_used in zip(classes, used, strict=True) if not is_used]
    verb = "classes have" if len(unused) > 1 else "class has"
    note = f"{len(unused):,} {verb} no image and no output in the model: {first_names(unused, MAX_NAMED)}"
    number = np.cumsum(used) - 1
    renumbered = {
        name: array[:, kept] if array.ndim == 2 else number[array] for name, array in labels.items()
    }
    return tuple(classes[index] for index in kept.tolist()), renumbered, (note,)
