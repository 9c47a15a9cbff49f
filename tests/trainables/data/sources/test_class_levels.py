"""Folders in folders: which of them are the classes, by their names and by `data.class_folders`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import Dataset, DataSpec, load


def photos(root: Path, folders: Sequence[str], each: int = 4) -> Path:
    """`each` different images in every folder."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for row in range(each):
            pixels = np.random.default_rng([number, row]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{row}.png")
    return root


def loaded(root: Path, **settings: Any) -> Dataset:
    return load(DataSpec("folder", str(root), **settings), root.parent / "cache")


def under(outer: str, inner: str) -> list[str]:
    return [f"{one}/{other}" for one in outer.split() for other in inner.split()]


PLACES = {
    "years": (under("2023 2024", "cats dogs"), "cats dogs"),
    "a year that lacks a class": ([*under("2023 2024", "cats dogs"), "2024/owls"], "cats dogs owls"),
    "patients": (["8863/0", "8863/1", "9001/0"], "0 1"),
    "styles": (under("clipart photo sketch", "chair desk lamp"), "chair desk lamp"),
    "a folder between": (under("amazon/images dslr/images", "mug pen"), "mug pen"),
    "years and months": (under("2023/01 2023/02 2024/01", "cats dogs"), "cats dogs"),
    "classes by year": (under("cats dogs", "2023 2024"), "cats dogs"),
    "magnifications": (under("benign malignant", "40X 100X"), "benign malignant"),
    "kinds that share one": (["animals/cat", "animals/other", "cars/bus", "cars/other"], "animals cars"),
    "one folder each": (under("cats dogs", "jpg"), "cats dogs"),
    "folds with splits": (under("fold1/train fold2/train fold1/val fold2/val", "cats dogs"), "cats dogs"),
}


@pytest.mark.parametrize("name", PLACES)
def test_names_that_repeat_as_classes_do_are_the_classes(name: str, tmp_path: Path) -> None:
    folders, classes = PLACES[name]
    data = loaded(photos(tmp_path / "set", folders))
    assert data.classes == tuple(classes.split())
    assert sum(data.counts.values()) == 4 * len(folders)


def test_the_note_says_which_level_was_taken_and_how_to_get_the_other(tmp_path: Path) -> None:
    root = photos(tmp_path / "set", under("2023 2024", "cats dogs"))
    (root / "2023" / "about.txt").touch()
    assert loaded(root).notes == (
        "the classes are the folders in 2023, 2024, which hold the same: cats, dogs; `data.class_folders: outer` "
        "takes the folders around them",
        "1 file is in no class folder and not used: 1 .txt, such as 2023/about.txt",
    )
    other = loaded(root, class_folders="outer")
    assert other.classes == ("2023", "2024")
    assert other.notes[0] == (
        "the class folders 2023, 2024 hold folders of the same names, cats, dogs, whose images belong to them; "
        "`data.class_folders: inner` makes the inner folders the classes"
    )


def test_the_inner_level_may_be_asked_for(tmp_path: Path) -> None:
    root = photos(tmp_path / "set", ["animals/cat", "animals/dog", "vehicles/car"])
    assert loaded(root).classes == ("animals", "vehicles")
    data = loaded(root, class_folders="inner")
    assert data.classes == ("car", "cat", "dog")
    assert data.notes == ()


def test_every_split_gets_the_level_of_the_training_images(tmp_path: Path) -> None:
    folders = [
        *under("train/2023 train/2024", "cats dogs"),
        "val/2025/cats",
        "val/2026/dogs",
        *under("test", "cats dogs"),
    ]
    data = loaded(photos(tmp_path / "set", folders))
    assert data.classes == ("cats", "dogs")
    assert data.counts == {"train": 16, "val": 8, "test": 8}


def test_images_beside_the_inner_folders_keep_the_outer_ones_classes(tmp_path: Path) -> None:
    data = loaded(photos(tmp_path / "set", ["cats", "dogs", *under("cats dogs", "day night")]))
    assert data.classes == ("cats", "dogs")
    assert sum(data.counts.values()) == 24


def test_an_inner_level_that_is_not_there_is_told(tmp_path: Path) -> None:
    root = photos(tmp_path / "set", ["cats", "dogs"])
    with pytest.raises(InputError, match="has no class folder with images, but 8"):
        loaded(root, class_folders="inner")


@pytest.mark.parametrize(
    "masks", ["covid/masks/0.png normal/masks/0.png", "covid/images/0_mask.png normal/images/0_mask_1.png"]
)
def test_masks_of_images_are_counted_and_not_trained_on(masks: str, tmp_path: Path) -> None:
    root = photos(tmp_path / "set", under("covid normal", "images"))
    for mask in masks.split():
        (root / mask).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(root / mask)
    data = loaded(root)
    assert data.classes == ("covid", "normal")
    assert sum(data.counts.values()) == 8
    assert (
        f"2 images are masks of others, by their names, and not used: such as {masks.split()[0]}"
        in data.notes
    )


def test_a_class_of_masks_is_a_class(tmp_path: Path) -> None:
    root = photos(tmp_path / "set", ["mask", "no_mask"])
    for file in list((root / "mask").iterdir()):
        file.rename(file.with_name(f"{file.stem}_mask.png"))
    data = loaded(root)
    assert (data.classes, sum(data.counts.values()), data.notes) == (("mask", "no_mask"), 8, ())
