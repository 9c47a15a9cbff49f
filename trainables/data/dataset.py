"""A job's images: decoded once on each node, then memory-mapped by every process that needs them."""

from __future__ import annotations

import functools
import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.spaces.errors import InputError, Problem, printable
from toprung.trainables.data.cache.cache import cache_folder, cached
from toprung.trainables.data.cache.integrity import check_intact, is_intact, read_manifest, write_manifest
from toprung.trainables.data.decoding.content_keys import content_keys
from toprung.trainables.data.decoding.flaws import duplicates, flaws
from toprung.trainables.data.decoding.materialize import Materialization
from toprung.trainables.data.decoding.split_arrays import fingerprint, images_file, labels_file, names_file
from toprung.trainables.data.decoding.splits import (
    SPLITS,
    Assignment,
    assign_splits,
    left_out_counts,
    split_problems,
)
from toprung.trainables.data.source_rules.spec import DataSpec
from toprung.trainables.data.source_rules.unused_classes import without_unused_classes
from toprung.trainables.data.sources.registry import open_source, with_defaults
from toprung.trainables.task.task import Split, Task
from toprung.trainables.task.task_type import SOFTMAX, TaskType, class_counts, resolve_task_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from toprung.trainables.data.decoding.materialize import Progress
    from toprung.trainables.data.source_rules.base import Listing, Source

__all__ = ["DataSpec", "Dataset", "Duplicates", "Split", "check", "labelled_listing", "load"]
LAYOUT = 7  # raise it when what is decoded or how it is stored changes: older cache entries are then ignored


@dataclass(frozen=True)
class Duplicates:
    """Images of val or test that are also, pixel for pixel, in an earlier split; `examples` names a few."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A decoded data set on this node.

    image_shape: (H, W, C), of uint8 pixels.
    classes: the class names; a label is an index into them, or has a 0 or 1 for each.
    fingerprint: SHA-256 (hex) of the pixels, labels and class names of the three splits; not of where the images
        came from and what their files are called.
    folder: the cache entry that holds the arrays.
    counts: split -> number of images.
    class_counts: split -> number of images of each class.
    skipped: the unreadable images that were left out, each with its reason.
    left_out: split -> number of images beyond its limit (`max_train_images`, `max_val_images`).
    notes: a line for each kind of file, folder, class or image that is not used, or that is suspicious.
    duplicates_across_splits: the images that one split shares with another.
    task_type: what a model predicts for an image (see `trainables.task.task_type`).
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    fingerprint: str
    folder: Path
    counts: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]]
    skipped: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    duplicates_across_splits: Duplicates = Duplicates()
    task_type: TaskType = SOFTMAX

    def train(self) -> Split:
        """The images to train on."""
        return self._split("train")

    def val(self) -> Split:
        """The images that a search selects by."""
        return self._split("val")

    def test(self) -> Split:
        """The sealed images: only the evaluation of a retrained winner reads them; none where no test was wanted.

        Raises:
            DamagedCacheError: Their files are not as they were written.
        """
        check_intact(self.folder, (images_file("test"), labels_file("test")))
        return self._split("test")

    def names(self, split: str) -> tuple[str, ...]:
        """What the images of a split are called where they came from: a file, or a file and a row."""
        return tuple(json.loads((self.folder / names_file(split)).read_text(encoding="ascii")))

    def task(self, max_epochs: int, train: Split | None = None) -> Task:
        """The classification task of these images, trained on `train` where it is given."""
        chosen = self.train() if train is None else train
        return Task(self.image_shape, self.classes, max_epochs, chosen, self.val(), self.task_type)

    def class_weights(self) -> tuple[float, ...]:
        """A weight for each class, inverse to its share of the training images; the mean over the images is 1."""
        counts = self.class_counts["train"]
        return tuple(sum(counts) / (len(counts) * count) for count in counts)

    def _split(self, split: str) -> Split:
        images, labels = (self.folder / name for name in (images_file(split), labels_file(split)))
        return Split(np.load(images, mmap_mode="r"), np.load(labels, mmap_mode="r"))


def load(spec: DataSpec, cache: Path | None = None, on_progress: Progress | None = None) -> Dataset:
    """The data set that a spec describes, decoded now if no process of this node has done so before.

    The cache entry has a key of the spec and the names, sizes and times of the source's files. Processes that need it
    at the same time decode it once.

    Args:
        spec: The images and how they are decoded and split.
        cache: The folder of all entries; $TOPRUNG_CACHE, else one for this user in the temporary directory, if None.
        on_progress: Called now and then with the number of images decoded so far, and of all.

    Raises:
        InputError: The source cannot be used.
    """
    with _unreadable_is_input_error():
        spec = with_defaults(spec)
        source = open_source(spec)
        key = _key(spec, source)

    def build(folder: Path) -> None:
        with _unreadable_is_input_error():
            listing = _labelled(source, spec)
            assignments = _assigned(listing, spec)
        work = Materialization(listing, assignments, spec, folder)
        work.run(on_progress)
        write_manifest(folder, _manifest(work))

    entry = cached(cache_folder(cache), key, is_intact, build)
    return _opened(entry, source.unused())


def labelled_listing(spec: DataSpec) -> Listing:
    """The classes, labels and undecoded images that a spec describes. Raises InputError as `load`."""
    with _unreadable_is_input_error():
        return _labelled(open_source(with_defaults(spec)), spec)


def check(spec: DataSpec) -> tuple[Problem, ...]:
    """What is wrong with the data as far as names and labels tell, without decoding any image."""
    try:
        listing = labelled_listing(spec)
    except InputError as error:
        return error.problems
    labels = {name: split.labels for name, split in listing.splits.items()}
    return tuple(split_problems(labels, listing.classes, spec))


@contextmanager
def _unreadable_is_input_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        given = f"{error.filename or ''} cannot be read ({error.strerror or error})".strip()
        raise InputError.single("data.path", given, "files and folders this user may read") from error


def _labelled(source: Source, spec: DataSpec) -> Listing:
    """What there is to decode, its labels in the form of the task's type, without classes that no image has."""
    listing = source.listing()
    given = {name: split.labels for name, split in listing.splits.items()}
    classes, given, notes = without_unused_classes(listing.classes, given)
    task_type, labels = resolve_task_type(given, len(classes), spec.task)
    splits = {name: replace(split, labels=labels[name]) for name, split in listing.splits.items()}
    notes = (*listing.notes, *notes)
    return replace(listing, classes=classes, splits=splits, task_type=task_type, notes=notes)


def _assigned(listing: Listing, spec: DataSpec) -> dict[str, Assignment]:
    """The split that each image goes to."""
    keys_of = functools.cache(lambda name: content_keys(listing.splits[name].images, spec.seed))
    labels = {name: split.labels for name, split in listing.splits.items()}
    return assign_splits(labels, listing.classes, spec, keys_of)


def _key(spec: DataSpec, source: Source) -> str:
    text = json.dumps([LAYOUT, version("pillow"), asdict(spec), source.stamps()])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _manifest(work: Materialization) -> dict[str, Any]:
    count, examples = duplicates(work.writers)
    return {
        "image_shape": work.writers["train"].shape,
        "classes": work.listing.classes,
        "fingerprint": fingerprint(work.writers, work.listing.classes),
        "task_type": work.listing.task_type,
        "counts": {split: len(work.writers[split].labels) for split in SPLITS},
        "class_counts": {
            split: class_counts(work.writers[split].labels, len(work.listing.classes)) for split in SPLITS
        },
        "skipped": work.skipped,
        "left_out": left_out_counts(work.assignments.values()),
        "notes": [*work.listing.notes, *flaws(work)],
        "duplicates": {"count": count, "examples": examples},
    }


def _opened(folder: Path, unused: tuple[str, ...]) -> Dataset:
    manifest = read_manifest(folder)
    height, width, channels = manifest["image_shape"]
    copies = manifest["duplicates"]
    return Dataset(
        image_shape=(height, width, channels),
        classes=tuple(manifest["classes"]),
        fingerprint=manifest["fingerprint"],
        folder=folder,
        task_type=manifest["task_type"],
        counts=manifest["counts"],
        class_counts={split: tuple(counts) for split, counts in manifest["class_counts"].items()},
        skipped=tuple(manifest["skipped"]),
        left_out=manifest["left_out"],
        notes=tuple(map(printable, (*unused, *manifest["notes"]))),
        duplicates_across_splits=Duplicates(copies["count"], tuple(copies["examples"])),
    )
