"""Two splits as one, without a copy: the images stay memory-mapped where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from toprung.trainables.task.task import Split


class ConcatImages:
    """The rows of `first`, then those of `second`: uint8 (N1 + N2, H, W, C).

    Offers what training and evaluation need of an array: `shape`, `dtype`, a row by its number, and rows by an array
    of numbers, a slice or a mask.
    """

    def __init__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
        self.first, self.second = first, second
        self.shape: tuple[int, ...] = (len(first) + len(second), *first.shape[1:])
        self.dtype, self.nbytes = first.dtype, first.nbytes + second.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        numbers = np.atleast_1d(np.arange(len(self))[rows])
        images: NDArray[np.uint8] = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        in_first = numbers < len(self.first)
        images[in_first] = self.first[numbers[in_first]]
        images[~in_first] = self.second[numbers[~in_first] - len(self.first)]
        return images[0] if isinstance(rows, int | np.integer) else images

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.concatenate([self.first, self.second]).astype(dtype or self.dtype, copy=False)


def concat_splits(train: Split, val: Split) -> Split:
    """Both splits as one, train first; images are read a batch at a time from where they are stored."""
    images = cast("NDArray[np.uint8]", ConcatImages(train.images, val.images))
    return type(train)(images, np.concatenate([train.labels, val.labels]))
