"""A look at a set of images that no job describes yet: classes, counts, sizes and colours, without decoding any."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import labelled_listing
from toprung.trainables.data.decoding.decode import own_pixel_limit
from toprung.trainables.data.decoding.splits import split_problems
from toprung.trainables.data.source_rules.first_names import first_names
from toprung.trainables.data.source_rules.spec import DataSpec
from toprung.trainables.data.sources.registry import open_source, source_of
from toprung.trainables.task.task_type import class_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.trainables.data.source_rules.base import Images, Item
    from toprung.trainables.task.task_type import TaskType

    Look = tuple[tuple[int, int], bool]
    """(height, width), and whether it is grey."""

SAMPLE = 200  # images that are looked at
CHUNK = 64
MAX_READ = 3200  # images that are read to find the sample, where they are no files of their own
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "F"})
TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations with height and width exchanged
ORIENTATION = 0x0112


@dataclass(frozen=True)
class ImageSurvey:
    """What is known of a set of images.

    source: the name of their source.
    path: where they are, as the user wrote it.
    classes: the class names.
    class_counts: images of each class, in all splits.
    splits: split that they come with -> images in it.
    sizes: (height, width) of a sample, (N, 2).
    is_grey: whether the whole sample is.
    task_type: what a model predicts for an image.
    notes: what is not used of them, one line a kind.
    """

    source: str
    path: str
    classes: tuple[str, ...]
    class_counts: tuple[int, ...]
    splits: dict[str, int]
    sizes: np.ndarray
    is_grey: bool
    task_type: TaskType
    notes: tuple[str, ...]

    @property
    def images(self) -> int:
        """The number of images in all splits."""
        return sum(self.splits.values())

    @property
    def median_size(self) -> tuple[int, int]:
        """The median height and width in pixels."""
        height, width = np.median(self.sizes, axis=0).astype(int).tolist()
        return height, width

    @property
    def is_uniform(self) -> bool:
        """Whether the whole sample is of one size."""
        return bool((self.sizes == self.sizes[0]).all())


def survey(path: str) -> ImageSurvey:
    """Look at the images at a path or URI.

    Raises:
        InputError: They cannot be used as they are, or none of the sample can be opened.
    """
    spec = DataSpec(source_of(path), path)
    listing = labelled_listing(spec)
    counts = [class_counts(split.labels, len(listing.classes)) for split in listing.splits.values()]
    with own_pixel_limit(spec):
        sample = [found for split in listing.splits.values() for found in _sample(split.images)]
    looked_at = [look for _, look in sample if look is not None]
    if not looked_at:
        allowed = "images that Pillow reads"
        raise InputError.single(
            "FOLDER", f"none of the first {SAMPLE} images of {path} can be opened", allowed
        )
    labels = {name: split.labels for name, split in listing.splits.items()}
    problems = split_problems(labels, listing.classes, spec)
    refused = (f"a search will be refused: {problem.given}; {problem.allowed}" for problem in problems)
    return ImageSurvey(
        source=spec.source,
        path=path,
        classes=listing.classes,
        class_counts=tuple(np.sum(counts, axis=0).tolist()),
        splits={name: len(split.labels) for name, split in listing.splits.items()},
        sizes=np.array([size for size, _ in looked_at]),
        is_grey=all(is_grey for _, is_grey in looked_at),
        task_type=listing.task_type,
        notes=(*open_source(spec).unused(), *listing.notes, *_unopened(path, sample), *refused),
    )


def _unopened(path: str, sample: Sequence[tuple[Item, Look | None]]) -> Iterator[str]:
    """A note of the images of a sample that cannot be opened."""
    unopened = [item for item, look in sample if look is None]
    if unopened:
        root = Path(path).absolute().as_posix()
        names = [item.as_posix().removeprefix(f"{root}/") for item in unopened if isinstance(item, Path)]
        named = f": {first_names(sorted(names))}" if names else ""
        yield f"{len(unopened)} of {len(sample)} images that were looked at cannot be opened{named}"


def _sample(images: Images) -> Iterator[tuple[Item, Look | None]]:
    """Some images all over a split, with what is seen of each that can be opened."""
    step = max(1, len(images) // SAMPLE)
    row = 0
    for items in images.chunks(CHUNK):
        for item in items:
            if row % step == 0:
                yield item, _look_at(item)
            row += 1
        if row >= MAX_READ and not isinstance(items[-1], Path):
            return


def _look_at(item: Item) -> Look | None:
    if isinstance(item, np.ndarray):
        return (item.shape[0], item.shape[1]), item.shape[2] == 1
    from PIL import Image

    try:
        content = io.BytesIO(item) if isinstance(item, bytes) else item.open("rb")
        with content, Image.open(content) as image:
            width, height = image.size
            is_turned = image.getexif().get(ORIENTATION) in TURNED
            return (width, height) if is_turned else (height, width), image.mode in GREY_MODES
    except Exception:  # Pillow's plugins raise a dozen types on broken files; a search names these files
        return None
