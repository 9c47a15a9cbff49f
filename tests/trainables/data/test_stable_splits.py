"""A file that is added to a folder, or removed, changes no other file's split; nor does another size or a new name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toprung.trainables.data.dataset import Dataset, DataSpec, load

SPLITS = ("train", "val", "test")


def add(root: Path, name: str, seed: int) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / name)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(120):
        add(tmp_path / "photos", f"class{number % 2}/{number:03}.png", number)
    return tmp_path / "photos"


def split_of_images(data: Dataset) -> dict[bytes, str]:
    """The split of each image, by its pixels."""
    found = zip(SPLITS, (data.train(), data.val(), data.test()), strict=True)
    return {image.tobytes(): name for name, split in found for image in split.images}


def test_files_added_and_removed_move_no_other(photos: Path, tmp_path: Path) -> None:
    spec = DataSpec("folder", str(photos))
    before = split_of_images(load(spec, tmp_path / "cache"))
    for number in range(40):
        add(
            photos, f"class{number % 2}/{number * 3:03}b.png", 1000 + number
        )  # between the names that are there
    (photos / "class0" / "000.png").unlink()
    (photos / "class1" / "001.png").rename(photos / "class1" / "renamed.png")
    after = split_of_images(load(spec, tmp_path / "cache"))
    assert len(after) == 159
    assert {image: after[image] for image in before if image in after} == {
        image: split for image, split in before.items() if image in after
    }
    assert {after[image] for image in after.keys() - before.keys()} == {*SPLITS}


def test_another_size_or_class_leaves_the_splits(photos: Path, tmp_path: Path) -> None:
    before = load(DataSpec("folder", str(photos)), tmp_path / "cache")
    smaller = load(DataSpec("folder", str(photos), image_size=(4, 6)), tmp_path / "cache")
    assert smaller.image_shape == (4, 6, 3)
    assert smaller.counts == before.counts and smaller.class_counts == before.class_counts
    for number in range(30):
        add(photos, f"a new class/{number}.png", 2000 + number)
    after = load(DataSpec("folder", str(photos)), tmp_path / "cache")
    assert {split: counts[1:] for split, counts in after.class_counts.items()} == dict(before.class_counts)


def test_copies_stay_in_one_split(photos: Path, tmp_path: Path) -> None:
    for file in sorted(photos.rglob("*.png")):
        shutil.copy(file, file.with_name(f"copy of {file.name}"))
    data = load(DataSpec("folder", str(photos)), tmp_path / "cache")
    assert sum(data.counts.values()) == 240
    assert data.duplicates_across_splits.count == 0


def test_no_test_set_is_drawn_where_none_is_wanted(photos: Path, tmp_path: Path) -> None:
    data = load(DataSpec("folder", str(photos), test_fraction=0), tmp_path / "cache")
    assert data.counts["test"] == 0 and data.counts["train"] + data.counts["val"] == 120
    assert len(data.test()) == 0


def test_what_limits_leave_out_is_counted(photos: Path, tmp_path: Path) -> None:
    whole = load(DataSpec("folder", str(photos)), tmp_path / "cache")
    data = load(DataSpec("folder", str(photos), max_train_images=20), tmp_path / "cache")
    assert data.counts["train"] == 20 and data.counts["test"] == whole.counts["test"]
    assert data.left_out == {
        "train": whole.counts["train"] - 20,
        "val": whole.counts["val"] - data.counts["val"],
    }


def test_an_image_of_absurd_size_is_skipped_by_name_with_the_setting(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(photos / "class0" / "wall.png")
    spec = DataSpec("folder", str(photos), image_size=8, max_image_pixels=50_000)
    (skipped,) = load(spec, tmp_path / "cache").skipped
    assert skipped == "class0/wall.png (300x200 is 60,000 pixels, more than data.max_image_pixels 50,000)"
    assert not load(DataSpec("folder", str(photos), image_size=8), tmp_path / "cache").skipped
