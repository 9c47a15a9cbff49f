"""Array files are written image by image; fingerprint and duplicates are of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from toprung.trainables.data.decoding.split_arrays import (
    Label,
    SplitWriter,
    fingerprint,
    images_file,
    labels_file,
)

SHAPE = (2, 3, 1)
KNOWN = "5cf1235d334de2e2ca6c3d51adee799b27fc01b4d451827ca06c211541064ace"


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
            digest = hashlib.sha256(image.data).digest()
            writers[split].append(image, label, digest, f"{split}{row}.png")
    for writer in writers.values():
        writer.close()
    return writers


@pytest.mark.parametrize("count", [0, 1, 300])
def test_what_is_appended_is_what_numpy_loads(count: int, tmp_path: Path) -> None:
    levels = [row % 256 for row in range(count)]
    write(tmp_path / "entry", {"train": levels})
    images = np.load(tmp_path / "entry" / images_file("train"), mmap_mode="r")
    labels = np.load(tmp_path / "entry" / labels_file("train"))
    assert (images.dtype, images.shape) == (np.uint8, (count, *SHAPE))
    assert images[:, 0, 0, 0].tolist() == levels
    assert (labels.dtype, labels.tolist()) == (np.int32, [row % 2 for row in range(count)])


def test_multilabel_labels_are_a_matrix(tmp_path: Path) -> None:
    write(tmp_path / "entry", {"val": [1, 2]}, [[0, 1, 1], [0, 0, 0]])
    assert np.load(tmp_path / "entry" / labels_file("val")).tolist() == [[0, 1, 1], [0, 0, 0]]


def test_the_fingerprint_is_of_pixels_labels_splits_and_class_names(tmp_path: Path) -> None:
    images = {"train": [1, 2], "val": [3, 4], "test": [5, 6]}
    same = fingerprint(write(tmp_path / "a", images), ["x", "y"])
    assert same == fingerprint(write(tmp_path / "b", images), ("x", "y")), "the folder does not count"
    others = [
        fingerprint(write(tmp_path / "c", images), ["x", "z"]),
        fingerprint(write(tmp_path / "d", {**images, "test": [5, 7]}), ["x", "y"]),
        fingerprint(write(tmp_path / "e", images, [1, 0]), ["x", "y"]),
        fingerprint(write(tmp_path / "f", {"train": [1, 2, 3], "val": [4], "test": [5, 6]}), ["x", "y"]),
    ]
    assert len({same, *others}) == 5


def test_the_fingerprint_of_a_known_content_never_changes(tmp_path: Path) -> None:
    """Runs keep it: another value would make every earlier run refuse to go on."""
    writers = write(tmp_path / "a", {"train": [1, 2], "val": [3, 4], "test": [5, 6]})
    assert fingerprint(writers, ["x", "y"]) == KNOWN
