"""What is fixed across the trials of a search: the data, its shape and classes, the longest training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.trainables.task.task_type import SOFTMAX, outputs_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Task:
    """One classification task.

    `image_shape` is (height, width, channels), `classes` the names in label order, `max_epochs` the length
    that learning-rate schedules are laid out for. `train` and `val` hold images, uint8 (N, H, W, C), and
    labels: int32 (N,), of the `task_type` multilabel 0 and 1, int32 (N, classes).
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    max_epochs: int
    train: Split
    val: Split
    task_type: str = SOFTMAX

    @property
    def outputs(self) -> int:
        """How many outputs a model of this task has."""
        return outputs_of(self.task_type, len(self.classes))


@dataclass(frozen=True)
class Split:
    """Images, uint8 (N, H, W, C), and their class numbers, int32 (N,); memory-mapped and read-only.

    Of a multi-label task the labels are 0 and 1, int32 (N, classes).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)
