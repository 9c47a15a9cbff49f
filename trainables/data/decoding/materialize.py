"""Decoding once: a source's images into one array file a split, with what is known about them beside it."""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.cache.cache import VARIABLE
from toprung.trainables.data.decoding.decode import UnreadableImageError, pixels
from toprung.trainables.data.decoding.split_arrays import SplitWriter
from toprung.trainables.data.decoding.splits import LEFT_OUT, SPLITS, Places
from toprung.trainables.system.resource_limits import whole_cores
from toprung.trainables.task.task_type import class_counts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from toprung.trainables.data.sources.base import Item, Listing
    from toprung.trainables.data.sources.spec import DataSpec

CHUNK_IMAGES = 64
MOST_THREADS = 16
NAMED = 10
Progress = Callable[[int, int], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Decoded:
    """One image after decoding: part and row in the source, pixels with their SHA-256, or why not."""

    part: str
    row: int
    image: NDArray[np.uint8] | None
    digest: bytes = b""
    error: str = ""


@dataclass
class Build:
    """One decoding into `folder`, in progress."""

    listing: Listing
    places: Mapping[str, Places]
    spec: DataSpec
    folder: Path
    writers: dict[str, SplitWriter] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    first: tuple[str, tuple[int, ...]] | None = None

    @property
    def total(self) -> int:
        """How many images are to be decoded."""
        return sum(int((places != LEFT_OUT).sum()) for places in self.places.values())

    def run(self, on_progress: Progress | None = None) -> None:
        """Decode everything and write it. Raises InputError when too many images cannot be read.

        It goes on a little past the first one too many, so that the error names several.
        """
        total = self.total
        try:
            for done, decoded in enumerate(self._decoded(), start=1):
                self._take(decoded, total)
                if on_progress and (done % 500 == 0 or done == total):
                    on_progress(done, total)
        finally:
            for writer in self.writers.values():
                writer.close()
        if len(self.skipped) > self.spec.max_corrupt_fraction * total:
            raise self._too_many(str(len(self.skipped)), total)
        problems = self._left_over()
        if problems:
            raise InputError(problems)

    def _decoded(self) -> Iterator[Decoded]:
        threads = min(MOST_THREADS, whole_cores())
        chunks = chain.from_iterable(self._chunks(part) for part in self.listing.parts)
        with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
            for batch in in_order(pool, self._decode_chunk, chunks, threads + 2):
                yield from batch

    def _decode_chunk(self, chunk: list[tuple[str, int, Item]]) -> list[Decoded]:
        return [decode(part, row, item, self.spec) for part, row, item in chunk]

    def _chunks(self, part: str) -> Iterator[list[tuple[str, int, Item]]]:
        start = 0
        for items in self.listing.parts[part].images.chunks(CHUNK_IMAGES):
            rows = range(start, start + len(items))
            wanted = self.places[part][start : start + len(items)] != LEFT_OUT
            yield [(part, row, item) for row, item, want in zip(rows, items, wanted, strict=True) if want]
            start += len(items)

    def _take(self, decoded: Decoded, total: int) -> None:
        if decoded.image is None:
            self.skipped.append(f"{self._name(decoded)} ({decoded.error})")
            if len(self.skipped) > self.spec.max_corrupt_fraction * total + NAMED:
                raise self._too_many(f"at least {len(self.skipped)}", total)
            return
        self._same_shape(decoded, decoded.image.shape)
        split = SPLITS[self.places[decoded.part][decoded.row]]
        label = self.listing.parts[decoded.part].labels[decoded.row].tolist()
        self.writers[split].append(decoded.image, label, decoded.digest, self._name(decoded))

    def _name(self, decoded: Decoded) -> str:
        return self.listing.parts[decoded.part].images.name(decoded.row)

    def _same_shape(self, decoded: Decoded, shape: tuple[int, ...]) -> None:
        if self.first is None:
            self._start(shape)
            self.first = (self._name(decoded), shape)
        elif shape != self.first[1]:
            given = f"{_size(self.first[1])} in {self.first[0]} but {_size(shape)} in {self._name(decoded)}"
            if shape[:2] == self.first[1][:2]:
                raise InputError.single("data.channels", f"images of {given}", "1 or 3 channels for all")
            raise InputError.single(
                "data.image_size", f"images of {given}", "the side in pixels to resize all to"
            )

    def _start(self, shape: tuple[int, ...]) -> None:
        needed = self.total * int(np.prod(shape))
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            given = f"{self.folder.parent} has {free / 1e9:,.3f} GB free"
            raise InputError.single(
                VARIABLE, given, f"{needed / 1e9:,.3f} GB for {self.total} images of {_size(shape)}"
            )
        self.writers.update({split: SplitWriter(self.folder, split, shape) for split in SPLITS})

    def _too_many(self, count: str, total: int) -> InputError:
        given = f"{count} of {total} images cannot be decoded: {', '.join(self.skipped[:NAMED])}"
        share = self.spec.max_corrupt_fraction
        return InputError.single(
            "data.path", given, f"at most {share:.3g} of them (data.max_corrupt_fraction)"
        )

    def _left_over(self) -> list[Problem]:
        allowed = f"at least one; skipped as unreadable: {', '.join(self.skipped[:NAMED])}"
        empty = [split for split in SPLITS if split not in self.writers or not self.writers[split].labels]
        if empty:
            return [Problem("data.path", f"no image is left for {split}", allowed) for split in empty]
        counts = class_counts(self.writers["train"].labels, len(self.listing.classes))
        names = [name for name, count in zip(self.listing.classes, counts, strict=True) if not count]
        return [
            Problem("data.path", f"no training image is left of class {name!r}", allowed) for name in names
        ]


def decode(part: str, row: int, item: Item, spec: DataSpec) -> Decoded:
    """One image decoded and hashed, in a thread: Pillow and hashlib let the others run meanwhile."""
    try:
        image = np.ascontiguousarray(pixels(item, spec))
    except UnreadableImageError as error:
        return Decoded(part, row, None, error=str(error))
    return Decoded(part, row, image, hashlib.sha256(image.data).digest())


def in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[Any], Result],
    items: Iterator[Any],
    ahead: int,
) -> Iterator[Result]:
    """The results of `function` in the order of `items`, never more than `ahead` of them waiting."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}x{shape[2]}"
