"""One classification task: what is the same in all trials of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.trainables.task.task_type import SOFTMAX, TaskType, outputs_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Images and their labels, memory-mapped and read-only.

    images: uint8 (N, H, W, C), or what is indexed like it (see `trainables.data.concat`).
    labels: class numbers, int32 (N,); in a multilabel task 0 and 1 for each class, int32 (N, classes).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Task:
    """The data of a task, and how long a model is trained on it.

    image_shape: (height, width, channels).
    classes: the class names in label order.
    max_epochs: the longest training in epochs, which learning-rate schedules are laid out for.
    train: what models are trained on.
    val: what a search selects by.
    task_type: what a model predicts for an image (see `trainables.task.task_type`).
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    max_epochs: int
    train: Split
    val: Split
    task_type: TaskType = SOFTMAX

    @property
    def outputs(self) -> int:
        """The number of outputs of a model for this task."""
        return outputs_of(self.task_type, len(self.classes))
