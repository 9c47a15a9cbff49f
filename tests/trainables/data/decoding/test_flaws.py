"""Copies among decoded images, and values that fill a fraction of their range, are counted and named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from toprung.trainables.data.decoding.flaws import MAX_NAMED, duplicates, flaws
from toprung.trainables.data.decoding.materialize import Materialization
from toprung.trainables.data.decoding.split_arrays import Label, SplitWriter
from toprung.trainables.data.source_rules.base import Listing
from toprung.trainables.data.source_rules.spec import DataSpec

SHAPE = (2, 3, 1)


def write(
    folder: Path, images: dict[str, list[int]], labels: list[Label] | None = None
) -> dict[str, SplitWriter]:
    """Writers of all splits, closed; each image is of one grey level."""
    folder.mkdir()
    writers = {split: SplitWriter(folder, split, SHAPE) for split in ("train", "val", "test")}
    for split, levels in images.items():
        for row, level in enumerate(levels):
            image = np.full(SHAPE, level, np.uint8)
            label = labels[row] if labels else row % 2
            writers[split].append(image, label, hashlib.sha256(image.data).digest(), f"{split}{row}.png")
    for writer in writers.values():
        writer.close()
    return writers


def work(writers: dict[str, SplitWriter], folder: Path, brightest: int = 255) -> Materialization:
    listing = Listing(("a", "b"), {})
    return Materialization(listing, {}, DataSpec(), folder, writers, brightest=brightest)


def test_duplicates_are_counted_against_earlier_splits_alone(tmp_path: Path) -> None:
    writers = write(tmp_path / "a", {"train": [1, 1, 2], "val": [1, 3, 3], "test": [3, 2, 9]})
    count, examples = duplicates(writers)
    assert count == 3
    assert examples == [
        "val: val0.png = train: train0.png",
        "test: test0.png = val: val1.png",
        "test: test1.png = train: train2.png",
    ]


def test_only_a_few_duplicates_are_named(tmp_path: Path) -> None:
    writers = write(tmp_path / "a", {"train": list(range(20)), "test": list(range(20))})
    count, examples = duplicates(writers)
    assert (count, len(examples)) == (20, MAX_NAMED)


def test_a_picture_under_several_labels_is_counted_once(tmp_path: Path) -> None:
    writers = write(tmp_path / "a", {"train": [1, 2, 1, 1], "val": [2, 7]}, [0, 0, 1, 0])
    assert list(flaws(work(writers, tmp_path))) == [
        "1 picture carries different labels: equal pixels in train0.png = train2.png"
    ]
    rows = write(tmp_path / "b", {"train": [1, 1], "test": [1]}, [[0, 1], [1, 1]])
    assert "1 picture carries" in next(flaws(work(rows, tmp_path)))
    clean = write(tmp_path / "c", {"train": [1, 2, 1], "val": [2]}, [0, 0, 0])
    assert not list(flaws(work(clean, tmp_path)))


@pytest.mark.parametrize(("brightest", "told"), [(16, True), (127, True), (128, False), (255, False)])
def test_values_that_fill_a_fraction_of_the_range_are_told(
    brightest: int, told: bool, tmp_path: Path
) -> None:
    lines = list(flaws(work(write(tmp_path / "a", {"train": [1, 2]}), tmp_path, brightest)))
    assert len(lines) == told
    assert all(line.startswith(f"the brightest pixel of all images is {brightest} of 255") for line in lines)
