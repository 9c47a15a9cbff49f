"""Folders as people have them: what is a split, what a class, and what is not used, which is counted and named."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import Dataset, DataSpec, load
from toprung.trainables.data.source_rules.formats import is_visible
from toprung.trainables.data.sources.folder import FolderSource


def photos(folder: Path, count: int = 6, suffix: str = "png", start: int = 0) -> Path:
    """`count` different images, no two folders with the same."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([start, *map(ord, str(folder)[-40:])])
    for number in range(count):
        image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        image.save(folder / f"{number}.{suffix}")
    return folder


def loaded(root: Path) -> Dataset:
    return load(DataSpec("folder", str(root)), root.parent / "cache")


def test_splits_with_an_inner_folder_of_the_same_name(tmp_path: Path) -> None:
    for split in ("training_set", "test_set"):
        for name in ("cats", "dogs"):
            photos(tmp_path / "set" / split / split / name)
    data = loaded(tmp_path / "set")
    assert data.classes == ("cats", "dogs")
    assert data.counts["test"] == 12
    assert data.notes == ("splits by folder: train is training_set/training_set, test is test_set/test_set",)


def test_a_folder_around_the_class_folders_is_passed_through(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        photos(tmp_path / "set" / "flowers" / "flowers" / name)
    data = loaded(tmp_path / "set")
    assert data.classes == ("cats", "dogs")
    assert data.notes == ("the class folders are those in flowers/flowers",)


def test_dev_and_eval_folders_are_splits(tmp_path: Path) -> None:
    for split in ("train", "dev", "eval"):
        for name in ("cats", "dogs"):
            photos(tmp_path / "set" / split / name, 5 if split == "dev" else 4)
    data = loaded(tmp_path / "set")
    assert data.counts == {"train": 8, "val": 10, "test": 8}
    assert data.notes == ("splits by folder: train is train, val is dev, test is eval",)


def test_splits_inside_the_class_folders(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        photos(tmp_path / "set" / name / "train", 9)
        photos(tmp_path / "set" / name / "test", 4)
    data = loaded(tmp_path / "set")
    assert data.classes == ("cats", "dogs")
    assert data.counts["test"] == 8
    assert data.notes == ("the splits are the folders in each class folder: train, test",)


def test_class_folders_beside_the_splits_are_counted(tmp_path: Path) -> None:
    for home in ("set/train", "set"):
        for name in ("cats", "dogs"):
            photos(tmp_path / home / name)
    photos(tmp_path / "set" / "test", 3)
    data = loaded(tmp_path / "set")
    assert data.notes == (
        "3 folders are beside the splits and not used: cats (6 images), dogs (6 images), test (3 images)",
    )


def test_folders_inside_class_folders_are_told(tmp_path: Path) -> None:
    for name in ("animals/cat", "animals/dog", "vehicles/car"):
        photos(tmp_path / "set" / name)
    data = loaded(tmp_path / "set")
    assert data.classes == ("animals", "vehicles")
    (note,) = data.notes
    assert note == (
        "class folders hold folders, which are no classes of their own: animals/cat, animals/dog, vehicles/car; "
        "`data.class_folders: inner` makes them classes"
    )


def test_other_files_are_counted_by_kind_in_one_note(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("cats", "dogs"):
        photos(root / name)
        for number in range(4):
            (root / name / f"{number}.heic").touch()
    for name in ("cats/labels.txt", "cats/LICENSE", "dogs/.hidden.jpg", "cats/.DS_Store", "cats/Thumbs.db"):
        (root / name).touch()
    (root / "metadata.parquet").touch()
    outside, others = loaded(root).notes
    assert outside == "1 file is in no class folder and not used: 1 .parquet, such as metadata.parquet"
    assert others == (
        "11 files are no image that can be read and not used: 8 .heic, 1 without a suffix, 1 .txt, 1 hidden, "
        "such as cats/0.heic"
    )


def test_a_note_does_not_decode_the_images_again(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        photos(tmp_path / "set" / name)
    before = loaded(tmp_path / "set")
    (tmp_path / "set" / "cats" / "labels.txt").touch()
    after = loaded(tmp_path / "set")
    assert before.notes == () and len(after.notes) == 1
    assert after.folder == before.folder


@pytest.mark.parametrize("suffix", ["tif", "tiff", "jfif", "jpe", "mpo", "avif", "ppm", "jp2", "JPG", "tga"])
def test_every_format_that_pillow_reads_is_used(suffix: str, tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        photos(tmp_path / "set" / name, suffix=suffix)
    data = loaded(tmp_path / "set")
    assert sum(data.counts.values()) == 12
    assert data.notes == ()


def test_images_without_a_suffix_are_known_by_their_content(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        for file in photos(tmp_path / "set" / name, suffix="jpg").iterdir():
            file.rename(file.with_suffix(""))
    (tmp_path / "set" / "cats" / "README").write_text("photographs of cats")
    data = loaded(tmp_path / "set")
    assert sum(data.counts.values()) == 12
    assert "1 file is no image that can be read and not used: 1 without a suffix" in data.notes[0]


def test_an_empty_class_folder_is_no_class(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        photos(tmp_path / "set" / "train" / name)
        photos(tmp_path / "set" / "val" / name, 2 if name == "cats" else 0)
    (tmp_path / "set" / "train" / "void").mkdir()
    data = loaded(tmp_path / "set")
    assert data.classes == ("cats", "dogs")
    assert data.class_counts["val"] == (2, 0)
    assert data.notes == ("2 class folders have no image: train/void, val/dogs",)


def test_a_test_folder_of_unlabelled_images_is_left_out(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        photos(tmp_path / "set" / "train" / name)
    photos(tmp_path / "set" / "test" / "unknown", 9)
    data = loaded(tmp_path / "set")
    assert sum(data.counts.values()) == 12
    assert data.notes == (
        "test has no labels: its only class folder is 'unknown'",
        "1 folder is beside the splits and not used: test (9 images)",
    )


def test_a_class_that_train_has_not_is_refused(tmp_path: Path) -> None:
    for split, names in {"train": ("cats", "dogs"), "val": ("cats", "cows")}.items():
        for name in names:
            photos(tmp_path / "set" / split / name)
    with pytest.raises(
        InputError, match=r"val in .* has a class 'cows' that train has not; one of cats, dogs"
    ):
        loaded(tmp_path / "set")


NAMES = st.sampled_from(
    ["train", "Test", "dev", "eval", "cats", "dogs", "training_set", "a b", ".hidden", "__MACOSX"]
)
FILES = st.sampled_from(["1.png", "2.JPG", "3.heic", "notes.txt", "LICENSE", ".DS_Store", ".4.png", "5.tiff"])
PATHS = st.lists(st.tuples(st.lists(NAMES, max_size=4), FILES), min_size=1, max_size=25)


@given(PATHS)
@settings(deadline=None, max_examples=150)
def test_every_file_of_any_tree_is_used_or_counted(paths: list[tuple[list[str], str]]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for folders, name in paths:
            (root / Path(*folders)).mkdir(parents=True, exist_ok=True)
            (root / Path(*folders) / name).write_bytes(b"\x89PNG\r\n\x1a\n")
        try:
            source = FolderSource(DataSpec("folder", folder))
        except InputError as error:
            assert len(str(error).splitlines()) == len(error.problems)
            return
        assert all("\n" not in note for note in source.unused())
        groups = [files for classes in source.files.values() for files in classes.values()]
        seen = [
            file for files in groups for file in (*files.images, *files.targets, *files.others)
        ] + source.layout.outside
        assert len(seen) == len(set(seen)), "no file is in two places"
        every = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
        missing = every - {*seen} - {file for file in every if file.startswith(tuple(source.layout.unused))}
        is_told = [all(map(is_visible, file.split("/"))) for file in missing]
        assert not any(is_told), "only what is hidden, or a system's own, is passed over without a word"


def test_animations_are_counted_and_notes_are_one_line_each(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        photos(tmp_path / "set" / name)
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green")]
    frames[0].save(tmp_path / "set" / "cats" / "a\nb.gif", save_all=True, append_images=frames[1:])
    assert loaded(tmp_path / "set").notes == (
        "1 file holds several frames or pages, of which the first is used, such as cats/a b.gif",
    )
