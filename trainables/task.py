"""What is fixed across the trials of a search: the data, its shape and classes, the longest training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.data import Split


@dataclass(frozen=True)
class Task:
    """One classification task.

    `image_shape` is (height, width, channels), `classes` the names in label order, `max_epochs` the length
    that learning-rate schedules are laid out for. `train` and `val` hold images, uint8 (N, H, W, C), and
    labels, int32 (N,).
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    max_epochs: int
    train: Split
    val: Split
