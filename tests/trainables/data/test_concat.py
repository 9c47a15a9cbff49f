"""Two splits as one: the same rows as a copy of both, read where they lie."""

from __future__ import annotations

import numpy as np
import pytest

from toprung.trainables.data.concat import ConcatImages, concat_splits
from toprung.trainables.task.task import Split
from toprung.trainables.training.batches import StreamedFeed, epoch_order

RNG = np.random.default_rng(0)
FIRST, SECOND = (RNG.integers(0, 256, (count, 4, 3, 1), dtype=np.uint8) for count in (7, 5))
BOTH = np.concatenate([FIRST, SECOND])


@pytest.mark.parametrize(
    "rows",
    [0, 6, 7, 11, np.int64(8), [3, 9], slice(5, 9), slice(None, None, -1), np.array([11, 0, 7]), BOTH[:, 0, 0, 0] > 9],
    ids=str,
)  # fmt: skip
def test_rows_are_those_of_a_copy_of_both(rows) -> None:
    images = ConcatImages(FIRST, SECOND)
    assert np.array_equal(images[rows], BOTH[rows])
    assert (images.shape, len(images), images.nbytes, images.dtype) == (
        BOTH.shape,
        12,
        BOTH.nbytes,
        BOTH.dtype,
    )
    assert np.array_equal(np.asarray(images), BOTH)


def test_a_row_past_the_end_is_an_error() -> None:
    with pytest.raises(IndexError):
        ConcatImages(FIRST, SECOND)[12]


def test_an_epoch_over_both_splits_reads_every_image_with_its_label() -> None:
    labels = np.arange(12, dtype=np.int32)
    everything = concat_splits(Split(FIRST, labels[:7]), Split(SECOND, labels[7:]))
    (chunk,) = StreamedFeed(everything).chunks(epoch_order(12, 12, seed=0, epoch=1))
    assert sorted(chunk.labels.tolist()) == list(range(12))
    assert np.array_equal(chunk.images, BOTH[chunk.labels])
