"""Decoding of a whole source: its images into one array file for each split."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.cache.cache import CACHE_VARIABLE
from toprung.trainables.data.decoding.content_keys import CHUNK_IMAGES, MAX_THREADS
from toprung.trainables.data.decoding.decode import UnreadableImageError, decoded, own_pixel_limit
from toprung.trainables.data.decoding.ordered_map import in_order
from toprung.trainables.data.decoding.split_arrays import SplitWriter
from toprung.trainables.data.decoding.splits import SPLITS, Assignment
from toprung.trainables.system.resource_limits import whole_cores
from toprung.trainables.task.task_type import class_counts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from toprung.trainables.data.source_rules.base import Item, Listing
    from toprung.trainables.data.source_rules.spec import DataSpec

MAX_NAMED = 10  # unreadable images in a message
FEW_UNREADABLE = 3  # are skipped in a small folder too, where they are at most this share of it:
FEW_SHARE = 0.1
PROGRESS_IMAGES = 500  # between two reports of progress

Progress = Callable[[int, int], None]
"""Called with the number of images decoded so far, and of all."""


class ImageId(NamedTuple):
    """One image of a source: the split it stands in there, and its row from 0."""

    split: str
    row: int


@dataclass(frozen=True)
class Decoded:
    """One image after decoding.

    image: uint8 (H, W, C); None where it cannot be read.
    digest: SHA-256 of its pixels.
    brightest: its largest value.
    error: why it cannot be read.
    has_more_frames: whether its file holds others after the first frame, which is the one that is used.
    """

    id: ImageId
    image: NDArray[np.uint8] | None
    digest: bytes = b""
    brightest: int = 0
    error: str = ""
    has_more_frames: bool = False


@dataclass
class Materialization:
    """One decoding of a source into `folder`, in progress.

    assignments: split of the source -> the split that each of its images goes to.
    writers: split -> its array files; filled when the first image is decoded.
    skipped: the unreadable images so far, each with its reason.
    brightest: the largest value of all images so far.
    framed: the names of the files so far of which only the first of several frames is used.
    first: the name and shape of the first image, which all others must have too.
    """

    listing: Listing
    assignments: Mapping[str, Assignment]
    spec: DataSpec
    folder: Path
    writers: dict[str, SplitWriter] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    brightest: int = 0
    framed: list[str] = field(default_factory=list)
    first: tuple[str, tuple[int, ...]] | None = None

    @property
    def total(self) -> int:
        """The number of images to decode."""
        return sum(int((assignment >= 0).sum()) for assignment in self.assignments.values())

    @property
    def max_skipped(self) -> float:
        """How many unreadable images are skipped before the source is refused."""
        share = self.spec.max_corrupt_fraction * self.total
        return max(share, min(FEW_UNREADABLE, FEW_SHARE * self.total)) if share else 0

    def run(self, on_progress: Progress | None = None) -> None:
        """Decode all images and write them.

        Raises:
            InputError: Too many images cannot be read, or they have different shapes, or the disk is too small. With
                unreadable images it continues a little past the first one too many, so that the error names several.
        """
        total = self.total
        try:
            with own_pixel_limit(self.spec):
                for done, decoded in enumerate(self._decoded(), start=1):
                    self._take(decoded, total)
                    if on_progress and (done % PROGRESS_IMAGES == 0 or done == total):
                        on_progress(done, total)
        finally:
            for writer in self.writers.values():
                writer.close()
        if len(self.skipped) > self.max_skipped:
            raise self._too_many(str(len(self.skipped)), total)
        problems = self._empty_problems()
        if problems:
            raise InputError(problems)

    def _decoded(self) -> Iterator[Decoded]:
        threads = min(MAX_THREADS, whole_cores())
        chunks = chain.from_iterable(self._chunks(split) for split in self.listing.splits)
        with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
            for decoded in in_order(pool, self._decode_chunk, chunks, threads + 2):
                yield from decoded

    def _decode_chunk(self, chunk: list[tuple[ImageId, Item]]) -> list[Decoded]:
        return [decode(image_id, item, self.spec) for image_id, item in chunk]

    def _chunks(self, split: str) -> Iterator[list[tuple[ImageId, Item]]]:
        assignment, start = self.assignments[split], 0
        for items in self.listing.splits[split].images.chunks(CHUNK_IMAGES):
            rows = range(start, start + len(items))
            yield [
                (ImageId(split, row), item)
                for row, item in zip(rows, items, strict=True)
                if assignment[row] >= 0
            ]
            start += len(items)

    def _take(self, decoded: Decoded, total: int) -> None:
        name = self.listing.splits[decoded.id.split].images.name(decoded.id.row)
        if decoded.image is None:
            self.skipped.append(f"{name} ({decoded.error})")
            if len(self.skipped) > self.max_skipped + MAX_NAMED:
                raise self._too_many(f"at least {len(self.skipped)}", total)
            return
        self._check_shape(name, decoded.image.shape)
        split = SPLITS[self.assignments[decoded.id.split][decoded.id.row]]
        label = self.listing.splits[decoded.id.split].labels[decoded.id.row].tolist()
        self.brightest = max(self.brightest, decoded.brightest)
        if decoded.has_more_frames:
            self.framed.append(name)
        self.writers[split].append(decoded.image, label, decoded.digest, name)

    def _check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise InputError where the shape is not the first image's; of that one, start the array files."""
        if self.first is None:
            self._start(shape)
            self.first = (name, shape)
            return
        first_name, first_shape = self.first
        if shape == first_shape:
            return
        given = f"images of {_size(first_shape)} in {first_name} but {_size(shape)} in {name}"
        if shape[:2] == first_shape[:2]:
            raise InputError.single("data.channels", given, "1 or 3 channels for all")
        raise InputError.single("data.image_size", given, "the side in pixels to resize all to")

    def _start(self, shape: tuple[int, ...]) -> None:
        required_bytes = self.total * int(np.prod(shape))
        free_bytes = shutil.disk_usage(self.folder).free
        if required_bytes > free_bytes:
            given = f"{self.folder.parent} has {free_bytes / 1e9:,.3f} GB free"
            allowed = f"{required_bytes / 1e9:,.3f} GB for {self.total} images of {_size(shape)}"
            raise InputError.single(CACHE_VARIABLE, given, allowed)
        self.writers.update({split: SplitWriter(self.folder, split, shape) for split in SPLITS})

    def _too_many(self, count: str, total: int) -> InputError:
        given = f"{count} of {total} images cannot be decoded: {', '.join(self.skipped[:MAX_NAMED])}"
        enough = min(0.99, math.ceil(100 * len(self.skipped) / total) / 100)
        allowed = f"at most {math.floor(self.max_skipped)}; data.max_corrupt_fraction {enough:g} skips so many by name"
        return InputError.single("data.path", given, allowed)

    def _empty_problems(self) -> list[Problem]:
        """The splits, or the classes in train, that the unreadable images leave empty."""
        allowed = f"at least one; skipped as unreadable: {', '.join(self.skipped[:MAX_NAMED])}"
        wanted = {SPLITS[index] for rows in self.assignments.values() for index in np.unique(rows[rows >= 0])}
        empty = [
            split for split in SPLITS if split in wanted and not (self.writers and self.writers[split].labels)
        ]
        if empty:
            return [Problem("data.path", f"no image is left for {split}", allowed) for split in empty]
        counts = class_counts(self.writers["train"].labels, len(self.listing.classes))
        names = [name for name, count in zip(self.listing.classes, counts, strict=True) if not count]
        return [
            Problem("data.path", f"no training image is left of class {name!r}", allowed) for name in names
        ]


def decode(image_id: ImageId, item: Item, spec: DataSpec) -> Decoded:
    """One image decoded and hashed; runs in several threads: Pillow and hashlib release the interpreter lock."""
    try:
        found = decoded(item, spec)
    except UnreadableImageError as error:
        return Decoded(image_id, None, error=str(error))
    image = np.ascontiguousarray(found.pixels)
    digest = hashlib.sha256(image.data).digest()
    return Decoded(image_id, image, digest, int(image.max()), has_more_frames=found.has_more_frames)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}x{shape[2]}"
