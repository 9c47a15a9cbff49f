"""Class folders: which folders are splits, which are classes, and which files are images."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.data.source_rules.formats import image_suffixes
from toprung.trainables.data.sources.folder import FolderSource

SIDE = 8


def png(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def make_classes(root: Path, names: tuple[str, ...] = ("ant", "bee"), each: int = 6) -> Path:
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for row in range(each):
            (root / name / f"{row}.png").write_bytes(png(100 * number + row))
    return root


def spec_of(root: Path) -> DataSpec:
    return DataSpec("folder", str(root))


@pytest.mark.parametrize("names", [("Training", "Testing"), ("Train", "Test"), ("TRAIN", "Valid", "test")])
def test_folders_are_splits_in_any_case_and_spelling(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        make_classes(tmp_path / "images" / name)
    dataset = load(spec_of(tmp_path / "images"), tmp_path / "cache")
    assert dataset.classes == ("ant", "bee")
    assert dataset.counts["test"] == 12
    assert dataset.counts["val"] == 12 if len(names) == 3 else 2 <= dataset.counts["val"] < 12


@pytest.mark.parametrize("names", [("plane", "test", "train"), ("Bus", "Train", "Training")])
def test_names_of_splits_beside_other_folders_of_images_are_classes(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    make_classes(tmp_path / "images", names)
    assert load(spec_of(tmp_path / "images"), tmp_path / "cache").classes == names


def test_a_class_called_train_may_have_folders_inside(tmp_path: Path) -> None:
    names = ("Bus", "Train", "Training")
    for name in names:
        make_classes(tmp_path / "images" / name, ("side",))
    (tmp_path / "images" / "__MACOSX").mkdir()
    assert load(spec_of(tmp_path / "images"), tmp_path / "cache").classes == names


def test_copies_in_hidden_folders_are_no_images(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "images")
    before = load(spec_of(root), tmp_path / "cache")
    for hidden in (root / "ant" / ".ipynb_checkpoints", root / "ant" / ".thumbnails" / "large"):
        hidden.mkdir(parents=True)
        (hidden / "copy.png").write_bytes((root / "ant" / "0.png").read_bytes())
    (root / "ant" / ".thumbnails" / "more").symlink_to("..")
    assert load(spec_of(root), tmp_path / "cache").fingerprint == before.fingerprint


def test_a_link_back_up_is_followed_once(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "images")
    before = load(spec_of(root), tmp_path / "cache")
    (root / "ant" / "again").symlink_to(".")
    assert load(spec_of(root), tmp_path / "other cache").counts == before.counts


def test_a_link_to_a_folder_around_the_class_is_not_followed(tmp_path: Path) -> None:
    make_classes(tmp_path / "store")
    (tmp_path / "images").mkdir()
    for name in ("ant", "bee"):
        (tmp_path / "images" / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "ant" / "up").symlink_to("..")
    (tmp_path / "store" / "bee" / "up").symlink_to(tmp_path / "images")
    dataset = load(spec_of(tmp_path / "images"), tmp_path / "cache")
    assert sum(dataset.counts.values()) == 12 and dataset.notes == ()


def test_files_are_images_by_their_suffix_at_any_depth(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "images", each=1)
    (root / "ant" / "deeper").mkdir()
    for suffix in (*image_suffixes(), ".JPG", ".txt", ".parquet"):
        (root / "ant" / "deeper" / f"file{suffix}").touch()
    source = FolderSource(spec_of(root))
    deeper = {f"ant/deeper/file{suffix}" for suffix in (*image_suffixes(), ".JPG")}
    assert set(source.files["train"]["ant"].images) == {"ant/0.png"} | deeper
    assert set(source.files["train"]["ant"].others) == {"ant/deeper/file.txt", "ant/deeper/file.parquet"}


def test_stamps_name_every_file_and_empty_class(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "images", each=1)
    (root / "void").mkdir()
    stamps = FolderSource(spec_of(root)).stamps()
    assert [stamp.split(" ")[0] for stamp in stamps] == [str(root), "ant/0.png", "bee/0.png", "void"]
    (root / "ant" / "0.png").write_bytes(png(9) + b"more")
    assert FolderSource(spec_of(root)).stamps() != stamps


def test_a_link_loop_and_a_pipe_among_the_images_are_left_out_and_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(150):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    os.mkfifo(tmp_path / "a" / "pipe")
    (tmp_path / "b" / "loop.png").symlink_to("loop.png")
    (tmp_path / "loop").symlink_to("loop")
    found = load(DataSpec("folder", str(tmp_path), image_size=8))
    assert sum(found.counts.values()) == 300
    assert [line.partition(" (")[0] for line in found.skipped] == ["a/pipe.png", "b/loop.png"]
    assert "no regular file" in found.skipped[0]
