"""What is fixed across the trials of a search: the data, its shape and classes, the longest training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.kind import SOFTMAX, outputs_of

if TYPE_CHECKING:
    from trainables.data import Dataset, Split


@dataclass(frozen=True)
class Task:
    """One classification task.

    `image_shape` is (height, width, channels), `classes` the names in label order, `max_epochs` the length
    that learning-rate schedules are laid out for. `train` and `val` hold images, uint8 (N, H, W, C), and
    labels: int32 (N,), of the `kind` multilabel 0 and 1, int32 (N, classes).
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    max_epochs: int
    train: Split
    val: Split
    kind: str = SOFTMAX

    @property
    def outputs(self) -> int:
        """How many outputs a model of this task has."""
        return outputs_of(self.kind, len(self.classes))

    @classmethod
    def of(cls, data: Dataset, max_epochs: int, train: Split | None = None) -> Task:
        """The task of a data set, its own training images unless others are given."""
        own = data.train() if train is None else train
        return cls(data.image_shape, data.classes, max_epochs, own, data.val(), data.kind)
