"""Training images on their way to the compiled step: resident on the device, or a chunk at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from toprung.trainables.task.task import Split

CHUNK_BYTES = 64 * 2**20
CHUNK_STEPS = 256


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

    def chunks(self, order: np.ndarray, most_steps: int | None = None) -> Iterator[Chunk]:
        """The batches that the rows of `order`, an int array (steps, batch) of image numbers, name.

        A chunk has at most `most_steps` of them; without that as many as the feed thinks best.
        """
        ...


class TimedChunks:
    """The chunks of an epoch, and in `secs` how long their taker waited for them so far."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self.secs = 0.0

    def __iter__(self) -> TimedChunks:
        return self

    def __next__(self) -> Chunk:
        began = time.perf_counter()
        try:
            return next(self._chunks)
        finally:
            self.secs += time.perf_counter() - began


class ResidentFeed:
    """The whole split copied to the device once; batches are gathered there, `chunk_steps` of them a call."""

    def __init__(self, split: Split, chunk_steps: int = CHUNK_STEPS) -> None:
        from keras import ops

        self._images = ops.convert_to_tensor(np.asarray(split.images))
        self._labels = ops.convert_to_tensor(np.asarray(split.labels, np.int32))
        self._chunk_steps = chunk_steps

    def chunks(self, order: np.ndarray, most_steps: int | None = None) -> Iterator[Chunk]:
        for part, count in _parts(order.astype(np.int32), self._chunk_steps, most_steps):
            yield Chunk(self._images, self._labels, part, count)


class StreamedFeed:
    """Batches gathered from the memory-mapped split, at most `chunk_bytes` of images a call, one chunk ahead.

    On a CPU this is the cheaper way too: the gather costs next to nothing and workers share the mapped pages.
    """

    def __init__(self, split: Split, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._images, self._labels = split.images, np.asarray(split.labels, np.int32)
        self._chunk_bytes = chunk_bytes

    def chunks(self, order: np.ndarray, most_steps: int | None = None) -> Iterator[Chunk]:
        batch_bytes = order.shape[1] * int(np.prod(self._images.shape[1:]))
        parts = list(_parts(order, max(1, self._chunk_bytes // batch_bytes), most_steps))
        with ThreadPoolExecutor(1, thread_name_prefix="feed") as reader:
            coming = reader.submit(self._gather, *parts[0])
            for part in parts[1:]:
                ready = coming.result()
                coming = reader.submit(self._gather, *part)
                yield ready
            yield coming.result()

    def _gather(self, part: np.ndarray, count: int) -> Chunk:
        local = np.arange(part.size, dtype=np.int32).reshape(part.shape)
        return Chunk(self._images[part.ravel()], self._labels[part.ravel()], local, count)


def _parts(order: np.ndarray, rows: int, most_rows: int | None) -> Iterator[tuple[np.ndarray, int]]:
    """`order` cut into parts of equally many rows, each with the number of rows that count."""
    rows = min(rows, most_rows or rows, len(order))
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        yield np.resize(part, (rows, order.shape[1])), len(part)


def feed_for(split: Split, accelerated: bool, resident_bytes: int = 2**30) -> Feed:
    """Resident where the images fit into `resident_bytes` of an accelerator's memory, streamed otherwise."""
    if accelerated and split.images.nbytes <= resident_bytes:
        return ResidentFeed(split)
    return StreamedFeed(split)


def epoch_order(count: int, batch: int, seed: int, epoch: int) -> np.ndarray:
    """Image numbers of every batch of an epoch, int (steps, batch): a shuffle fixed by seed and epoch alone.

    Every image appears; the last batch is filled up with the epoch's first images, so that all have one size. A
    batch larger than the whole set is the whole set.
    """
    shuffled = np.random.default_rng([seed, epoch]).permutation(count)
    steps = steps_per_epoch(count, batch)
    return np.resize(shuffled, (steps, min(batch, count)))


def steps_per_epoch(count: int, batch: int) -> int:
    """Batches needed to see `count` images once."""
    return -(-count // batch)


# Images of one call: what fits a CPU's cache, and what fills an accelerator.
CPU_BYTES, ACCELERATOR_BYTES = 4 * 2**20, 64 * 2**20


def predict_in_batches(
    ask: Callable[[Any], np.ndarray], images: Any, accelerated: bool, parts: int = 1
) -> np.ndarray:
    """What `ask` makes of each image (or of its features), the memory of a call being cut into `parts`."""
    asked = [ask(images[rows]) for rows in batches(images, accelerated, parts)]
    return np.concatenate(asked)[: len(images)]


def batches(images: Any, accelerated: bool, parts: int = 1) -> Iterator[np.ndarray]:
    """The rows of each batch, all of one size: the last is filled up with the last image."""
    count = len(images)
    budget = ACCELERATOR_BYTES if accelerated else CPU_BYTES
    largest = max(1, budget // parts // images[0].nbytes)
    size = -(-count // -(-count // largest))
    for start in range(0, count, size):
        yield np.minimum(np.arange(start, start + size), count - 1)
