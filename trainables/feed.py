"""Training images on their way to the compiled step: resident on the device, or a chunk at a time.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainables.data import Split

CHUNK_BYTES = 64 * 2**20


class Chunk(NamedTuple):
    """One call's worth of steps: row i of `order`, int32 (rows, batch), indexes `images` and `labels`.

    Only the first `steps` rows count; the rest keep the shape of all chunks equal.
    """

    images: Any
    labels: Any
    order: Any
    steps: int


class Feed(Protocol):
    """A source of training batches."""

    def chunks(self, order: np.ndarray) -> Iterator[Chunk]:
        """The batches that the rows of `order`, an int array (steps, batch) of image numbers, name."""
        ...


class ResidentFeed:
    """The whole split copied to the device once; batches are gathered there."""

    def __init__(self, split: Split) -> None:
        self._images = ops.convert_to_tensor(np.asarray(split.images))
        self._labels = ops.convert_to_tensor(np.asarray(split.labels, np.int32))

    def chunks(self, order: np.ndarray) -> Iterator[Chunk]:
        yield Chunk(self._images, self._labels, order.astype(np.int32), len(order))


class StreamedFeed:
    """Batches gathered from the memory-mapped split, at most `chunk_bytes` of images a call.

    On a CPU this is the cheaper way too: the gather costs next to nothing and workers share the mapped pages.
    """

    def __init__(self, split: Split, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._images, self._labels = split.images, np.asarray(split.labels, np.int32)
        self._chunk_bytes = chunk_bytes

    def chunks(self, order: np.ndarray) -> Iterator[Chunk]:
        batch = order.shape[1]
        batch_bytes = batch * int(np.prod(self._images.shape[1:]))
        rows = int(np.clip(self._chunk_bytes // max(1, batch_bytes), 1, len(order)))
        local = np.arange(rows * batch, dtype=np.int32).reshape(rows, batch)
        for start in range(0, len(order), rows):
            part = order[start : start + rows]
            numbers = np.resize(part, rows * batch)
            yield Chunk(self._images[numbers], self._labels[numbers], local, len(part))


def feed_for(split: Split, accelerated: bool, resident_bytes: int = 2**30) -> Feed:
    """Resident where the images fit into `resident_bytes` of an accelerator's memory, streamed otherwise."""
    if accelerated and split.images.nbytes <= resident_bytes:
        return ResidentFeed(split)
    return StreamedFeed(split)


def epoch_order(count: int, batch: int, seed: int, epoch: int) -> np.ndarray:
    """Image numbers of every batch of an epoch, int (steps, batch): a shuffle fixed by seed and epoch alone.

    Every image appears; the last batch is filled up with the epoch's first images, so that all have one size.
    """
    shuffled = np.random.default_rng([seed, epoch]).permutation(count)
    steps = steps_per_epoch(count, batch)
    return np.resize(shuffled, (steps, batch))


def steps_per_epoch(count: int, batch: int) -> int:
    """Batches needed to see `count` images once."""
    return -(-count // batch)
