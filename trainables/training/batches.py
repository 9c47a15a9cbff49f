"""Training images on their way to the compiled step: resident on the device, or a chunk at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from toprung.trainables.task.task import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from toprung.trainables.backend.tensors import Tensor

CHUNK_BYTES = 64 * 2**20
CHUNK_STEPS = 256


class Chunk(NamedTuple):
    """The batches of one call.

    images, labels: the images uint8 (N, H, W, C), or features float32 (N, features), and their labels, int32.
    order: int32 (rows, batch), indexes of images and labels; a row is a batch.
    steps: how many rows count. The rest keep the shape of all chunks equal.
    """

    images: Tensor
    labels: Tensor
    order: Tensor
    steps: int


class Feed(Protocol):
    """A source of training batches."""

    def chunks(self, order: np.ndarray, max_steps: int | None = None) -> Iterator[Chunk]:
        """Cut an epoch's batches into chunks.

        Args:
            order: Int (steps, batch), image numbers; a row is a batch.
            max_steps: The most batches in a chunk; by default the feed decides.
        """
        ...


class TimedChunks:
    """The chunks of an epoch; `secs` adds up how long the training waited for them."""

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
    """The whole split copied to the device once; batches are gathered there, `chunk_steps` of them in a call."""

    def __init__(self, split: Split, chunk_steps: int = CHUNK_STEPS) -> None:
        from keras import ops

        self._images = ops.convert_to_tensor(np.asarray(split.images))
        self._labels = ops.convert_to_tensor(np.asarray(split.labels, np.int32))
        self._chunk_steps = chunk_steps

    def chunks(self, order: np.ndarray, max_steps: int | None = None) -> Iterator[Chunk]:
        for rows, count in _row_blocks(order.astype(np.int32), self._chunk_steps, max_steps):
            yield Chunk(self._images, self._labels, rows, count)


class StreamedFeed:
    """Batches gathered from the memory-mapped split one chunk ahead, at most `chunk_bytes` of images in a call.

    It is also the cheaper feed on a CPU: gathering costs almost nothing and workers share the mapped pages.
    """

    def __init__(self, split: Split, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._images, self._labels = split.images, np.asarray(split.labels, np.int32)
        self._chunk_bytes = chunk_bytes

    def chunks(self, order: np.ndarray, max_steps: int | None = None) -> Iterator[Chunk]:
        batch_bytes = order.shape[1] * int(np.prod(self._images.shape[1:]))
        blocks = list(_row_blocks(order, max(1, self._chunk_bytes // batch_bytes), max_steps))
        with ThreadPoolExecutor(1, thread_name_prefix="feed") as reader:
            upcoming = reader.submit(self._gather, *blocks[0])
            for block in blocks[1:]:
                ready = upcoming.result()
                upcoming = reader.submit(self._gather, *block)
                yield ready
            yield upcoming.result()

    def _gather(self, rows: np.ndarray, count: int) -> Chunk:
        local = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
        return Chunk(self._images[rows.ravel()], self._labels[rows.ravel()], local, count)


def _row_blocks(order: np.ndarray, size: int, max_rows: int | None) -> Iterator[tuple[np.ndarray, int]]:
    """Cut `order` into blocks of equally many rows, each with the number of rows that count."""
    size = min(size, max_rows or size, len(order))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield np.resize(rows, (size, order.shape[1])), len(rows)


def feed_for(split: Split, accelerated: bool, resident_bytes: int = 2**30) -> Feed:
    """The feed of a split: resident if it fits into `resident_bytes` of an accelerator's memory, else streamed."""
    if accelerated and split.images.nbytes <= resident_bytes:
        return ResidentFeed(split)
    return StreamedFeed(split)


def epoch_order(count: int, batch: int, seed: int, epoch: int, passes: int = 1) -> np.ndarray:
    """The image numbers of every batch of an epoch: shuffles fixed by seed and epoch alone.

    Every image appears in each pass. The last batch of a pass is filled up with the pass's first images, so that all
    have one size. A batch larger than the whole set is the whole set.

    Args:
        count: Number of images.
        batch: Images in a batch.
        seed: The trial's seed.
        epoch: 1-based.
        passes: How often each image appears.

    Returns:
        Int (passes * steps_per_pass, batch).
    """
    rng = np.random.default_rng([seed, epoch])
    shape = (steps_per_pass(count, batch), min(batch, count))
    return np.concatenate([np.resize(rng.permutation(count), shape) for _ in range(passes)])


def sample(split: Split, count: int) -> Split:
    """At most `count` images of a split, drawn at random, always the same."""
    if len(split) <= count:
        return split
    rows = np.sort(np.random.default_rng(0).permutation(len(split))[:count])
    return Split(split.images[rows], split.labels[rows])


def steps_per_pass(count: int, batch: int) -> int:
    """Batches needed to see `count` images once."""
    return -(-count // batch)


# The images of one call: what fits into a CPU's cache, and what keeps an accelerator busy.
CPU_BYTES, ACCELERATOR_BYTES = 4 * 2**20, 64 * 2**20


def predict_in_batches(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, accelerated: bool, pieces: int = 1
) -> np.ndarray:
    """The predictions for all images, or for their features, (N, ...).

    Args:
        predict: From (batch, ...) to (batch, ...).
        images: (N, ...).
        accelerated: Whether an accelerator predicts.
        pieces: How many times smaller than usual batches are, for want of memory.
    """
    predictions = [predict(images[rows]) for rows in prediction_batches(images, accelerated, pieces)]
    return np.concatenate(predictions)[: len(images)]


def mirrored(images: np.ndarray) -> np.ndarray:
    """Images (batch, H, W, C) with left and right exchanged."""
    return images[:, :, ::-1]


def prediction_batches(images: np.ndarray, accelerated: bool, pieces: int = 1) -> Iterator[np.ndarray]:
    """The rows of each batch, all of one size: the last is filled up with the last image."""
    count = len(images)
    budget = ACCELERATOR_BYTES if accelerated else CPU_BYTES
    largest = max(1, budget // pieces // images[0].nbytes)
    size = -(-count // -(-count // largest))
    for start in range(0, count, size):
        yield np.minimum(np.arange(start, start + size), count - 1)
