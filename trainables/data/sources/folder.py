"""A folder for each class, with or without train, val and test folders around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.sources.base import SUFFIXES, Item, Listing, Source, SourceSplit, file_stamp
from toprung.trainables.data.sources.paths import Place, files_below, located

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.trainables.data.sources.spec import DataSpec

ALLOWED = "a folder with one folder of images for each class, or with train, val and test folders of such"
# Split -> the names that its folder may have; beside folders that are no splits, and where there are only splits.
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
LOOSE_SPLIT_FOLDERS = {**SPLIT_FOLDERS, "train": ("train", "training"), "test": ("test", "testing")}
MACOS_METADATA = "__MACOSX"  # a folder that macOS adds to its archives


@dataclass(frozen=True)
class FileImages:
    """Image files under `root`, one for each image, as paths relative to it."""

    root: Place
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, row: int) -> str:
        return self.files[row]

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        for start in range(0, len(self.files), length):
            yield [self.root / file for file in self.files[start : start + length]]


class FolderSource(Source):
    """Class folders under `path`, or under its folders train (training), val (validation, valid) and test (testing).

    The names of splits may have capitals. A class has the name of its folder, and its place in the sorted order of
    the training folders as its number; its images lie in it or deeper. Hidden files and folders, and files with
    another suffix than `SUFFIXES`, are ignored.
    """

    names: ClassVar[tuple[str, ...]] = ("folder",)

    def __init__(self, spec: DataSpec) -> None:
        self.root = located(spec.path, "folder", ALLOWED)
        if not self.root.is_dir():
            raise InputError.single("data.path", f"{self.root} is a file", ALLOWED)

    @cached_property
    def files(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Split -> class -> its files, relative to the root and sorted; classes without files included."""
        return {split: _class_files(self.root, folder) for split, folder in _split_folders(self.root).items()}

    def stamps(self) -> tuple[str, ...]:
        all_files = [file for classes in self.files.values() for files in classes.values() for file in files]
        empty = [name for classes in self.files.values() for name, files in classes.items() if not files]
        return (str(self.root), *(file_stamp(self.root / file, file) for file in all_files), *empty)

    def listing(self) -> Listing:
        problems = self._problems()
        if problems:
            raise InputError(problems)
        classes = tuple(self.files["train"])
        return Listing(classes, {split: self._split(files, classes) for split, files in self.files.items()})

    def _split(self, files_by_class: dict[str, tuple[str, ...]], classes: Sequence[str]) -> SourceSplit:
        all_files = tuple(file for files in files_by_class.values() for file in files)
        numbers = [
            np.full(len(files), classes.index(name), np.int64) for name, files in files_by_class.items()
        ]
        return SourceSplit(
            FileImages(self.root, all_files), np.concatenate([*numbers, np.zeros(0, np.int64)])
        )

    def _problems(self) -> list[Problem]:
        classes = self.files["train"]
        if len(classes) < 2:
            there = f"one class folder ({next(iter(classes))})" if classes else "no class folder"
            return [Problem("data.path", f"{self.root} has {there}", f"at least 2 classes: {ALLOWED}")]
        return [
            problem
            for split, files_by_class in self.files.items()
            for name, files in files_by_class.items()
            if (problem := self._class_problem(split, name, files))
        ]

    def _class_problem(self, split: str, name: str, files: Sequence[str]) -> Problem | None:
        if not files:
            given = f"class folder {name!r} of {split} in {self.root} has no image"
            return Problem("data.path", given, f"files ending in {', '.join(SUFFIXES)}")
        if name not in self.files["train"]:
            given = f"{split} in {self.root} has a class {name!r} that train has not"
            return Problem("data.path", given, f"one of {', '.join(self.files['train'])}")
        return None


def _subfolders(folder: Place) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name != MACOS_METADATA
    )


def _split_folders(root: Place) -> dict[str, str]:
    """Split -> its folder relative to the root; a `train` with no folder inside is a class of that name.

    Raises:
        InputError: Two folders of one split; or all folders are called like splits, but none is train.
    """
    folders = _subfolders(root)
    named = {
        split: [name for name in folders if name.lower() in allowed]
        for split, allowed in LOOSE_SPLIT_FOLDERS.items()
    }
    if sum(map(len, named.values())) < len(folders):
        # Beside other folders "Train" may well be a class of vehicles: only the plain names are splits there.
        named = {
            split: [name for name in folders if name in allowed] for split, allowed in SPLIT_FOLDERS.items()
        }
    with_classes = {
        split: [name for name in names if _subfolders(root / name)] for split, names in named.items()
    }
    if not with_classes["train"]:
        if folders and sum(map(len, named.values())) == len(folders):
            given = f"{root} has {', '.join(folders)}, but no train folder with class folders in it"
            raise InputError.single("data.path", given, ALLOWED)
        return {"train": "."}
    repeated = [
        Problem("data.path", f"{root} has {' and '.join(names)}", f"one folder for {split}")
        for split, names in with_classes.items()
        if len(names) > 1
    ]
    if repeated:
        raise InputError(repeated)
    return {split: names[0] for split, names in with_classes.items() if names}


def _class_files(root: Place, folder: str) -> dict[str, tuple[str, ...]]:
    start = "" if folder == "." else f"{folder}/"
    return {
        name: tuple(f"{start}{name}/{file}" for file in files_below(root / folder / name) if _is_image(file))
        for name in _subfolders(root / folder)
    }


def _is_image(file: str) -> bool:
    return file.lower().endswith(SUFFIXES) and not any(name.startswith(".") for name in file.split("/"))
