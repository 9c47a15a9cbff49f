"""Two splits trained on as one, without a copy: the images stay memory-mapped where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toprung.trainables.task.task import Split


class ConcatImages:
    """The rows of `first`, then those of `second`: two uint8 arrays (N, H, W, C) that differ in N alone.

    Takes what a feed and an evaluation ask of an array: a row by number, and rows by an array of numbers.
    """

    def __init__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
        self.first, self.second = first, second
        self.shape: tuple[int, ...] = (len(first) + len(second), *first.shape[1:])
        self.dtype, self.nbytes = first.dtype, first.nbytes + second.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        numbers = np.atleast_1d(np.arange(len(self))[rows])
        found: NDArray[np.uint8] = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        is_first = numbers < len(self.first)
        found[is_first] = self.first[numbers[is_first]]
        found[~is_first] = self.second[numbers[~is_first] - len(self.first)]
        return found[0] if isinstance(rows, int | np.integer) else found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.concatenate([self.first, self.second]).astype(dtype or self.dtype, copy=False)


def concat_splits(train: Split, val: Split) -> Split:
    """Both splits as one, train first; their images are read where they lie, a batch at a time."""
    images: Any = ConcatImages(train.images, val.images)
    return type(train)(images, np.concatenate([train.labels, val.labels]))
