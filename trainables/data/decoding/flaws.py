"""What is suspicious in decoded images: copies in several splits or of several labels, dark images, several frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.trainables.data.decoding.splits import SPLITS
from toprung.trainables.data.source_rules.alike_classes import about_alike_classes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.trainables.data.decoding.materialize import Materialization
    from toprung.trainables.data.decoding.split_arrays import SplitWriter

MAX_NAMED = 5  # duplicates
DARK = 127  # images of which no pixel is brighter were probably scaled for another range


def duplicates(writers: Mapping[str, SplitWriter]) -> tuple[int, list[str]]:
    """How many images of val and test are also, pixel for pixel, in an earlier split, and the names of a few."""
    first_names: dict[bytes, str] = {}
    count = 0
    examples: list[str] = []
    for split in SPLITS:
        images = list(zip(writers[split].digests, writers[split].names, strict=True))
        for digest, name in images:
            if digest in first_names:
                count += 1
                if len(examples) < MAX_NAMED:
                    examples.append(f"{split}: {name} = {first_names[digest]}")
        for digest, name in images:
            first_names.setdefault(digest, f"{split}: {name}")
    return count, examples


def flaws(work: Materialization) -> Iterator[str]:
    """A line for each kind of flaw that does not depend on the splits."""
    yield from about_alike_classes(work.listing.classes)
    yield from _conflicting_labels(work.writers)
    if work.framed:
        verb = "files hold" if len(work.framed) > 1 else "file holds"
        count, example = len(work.framed), work.framed[0]
        yield f"{count:,} {verb} several frames or pages, of which the first is used, such as {example}"
    if work.brightest <= DARK:
        yield (
            f"the brightest pixel of all images is {work.brightest} of 255: their values fill a fraction of the range "
            "of their type; scale them to the whole range where that is not meant"
        )


def _conflicting_labels(writers: Mapping[str, SplitWriter]) -> Iterator[str]:
    """The pictures that carry several labels: equal pixels, different classes."""
    first: dict[bytes, tuple[object, str]] = {}
    conflicts: dict[bytes, str] = {}
    for split in SPLITS:
        writer = writers[split]
        for digest, label, name in zip(writer.digests, writer.labels, writer.names, strict=True):
            first_label, first_name = first.setdefault(digest, (label, name))
            if label != first_label:
                conflicts.setdefault(digest, f"{first_name} = {name}")
    if conflicts:
        verb = "pictures carry" if len(conflicts) > 1 else "picture carries"
        yield f"{len(conflicts):,} {verb} different labels: equal pixels in {next(iter(conflicts.values()))}"
