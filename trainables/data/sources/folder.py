"""A folder per class, with or without explicit train, val and test folders around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.sources.base import SUFFIXES, Item, Listing, SourceSplit, file_stamp
from toprung.trainables.data.sources.paths import Place, files_below, located

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.trainables.data.sources.spec import DataSpec

WANTED = "a folder with one folder of images a class, or with train, val and test folders of such"
TITLES = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
LOOSE_TITLES = {**TITLES, "train": ("train", "training"), "test": ("test", "testing")}
PACKERS_OWN = "__MACOSX"  # a folder that the archives of one operating system bring along


@dataclass(frozen=True)
class FileImages:
    """Image files under `root`, read one at a time."""

    root: Place
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, row: int) -> str:
        return self.files[row]

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        for start in range(0, len(self.files), length):
            yield [self.root / file for file in self.files[start : start + length]]


class FolderSource:
    """Class folders under `path`, or under its folders train (training), val (validation, valid) and test (testing).

    The names of splits may have capitals. A class is named by its folder and numbered by the sorted order of the
    training folders; its images lie in it or deeper. Hidden files and folders, and files with no image suffix, are
    passed over.
    """

    def __init__(self, spec: DataSpec) -> None:
        self.root = located(spec.path, "folder", WANTED)
        if not self.root.is_dir():
            raise InputError.single("data.path", f"{self.root} is a file", WANTED)

    @cached_property
    def found(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Split -> class -> its files, relative to the root and sorted; empty classes included."""
        return {split: _classes(self.root, folder) for split, folder in _split_folders(self.root).items()}

    def stamps(self) -> tuple[str, ...]:
        files = [file for classes in self.found.values() for own in classes.values() for file in own]
        empty = [name for classes in self.found.values() for name, own in classes.items() if not own]
        return (str(self.root), *(file_stamp(self.root / file, file) for file in files), *empty)

    def listing(self) -> Listing:
        problems = self._problems()
        if problems:
            raise InputError(problems)
        classes = tuple(self.found["train"])
        return Listing(classes, {split: self._part(own, classes) for split, own in self.found.items()})

    def _part(self, found: dict[str, tuple[str, ...]], classes: Sequence[str]) -> SourceSplit:
        files = tuple(file for own in found.values() for file in own)
        numbers = [np.full(len(own), classes.index(name), np.int64) for name, own in found.items()]
        return SourceSplit(FileImages(self.root, files), np.concatenate([*numbers, np.zeros(0, np.int64)]))

    def _problems(self) -> list[Problem]:
        classes = self.found["train"]
        if len(classes) < 2:
            there = f"one class folder ({next(iter(classes))})" if classes else "no class folder"
            return [Problem("data.path", f"{self.root} has {there}", f"at least 2 classes: {WANTED}")]
        return [
            problem
            for split, found in self.found.items()
            for name, files in found.items()
            if (problem := self._class_problem(split, name, files))
        ]

    def _class_problem(self, split: str, name: str, files: Sequence[str]) -> Problem | None:
        if not files:
            given = f"class folder {name!r} of {split} in {self.root} has no image"
            return Problem("data.path", given, f"files ending in {', '.join(SUFFIXES)}")
        if name not in self.found["train"]:
            given = f"{split} in {self.root} has a class {name!r} that train has not"
            return Problem("data.path", given, f"one of {', '.join(self.found['train'])}")
        return None


def _subfolders(folder: Place) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name != PACKERS_OWN
    )


def _split_folders(root: Place) -> dict[str, str]:
    """Split -> its folder relative to the root; a `train` with no folder inside is a class of that name.

    Raises InputError for two folders of one split, and where all folders are called like splits but none is train.
    """
    folders = _subfolders(root)
    titled = {split: [name for name in folders if name.lower() in own] for split, own in LOOSE_TITLES.items()}
    if sum(map(len, titled.values())) < len(folders):
        # Beside other folders "Train" may well be a class, of vehicles: only the plain titles are splits there.
        titled = {split: [name for name in folders if name in own] for split, own in TITLES.items()}
    found = {split: [name for name in own if _subfolders(root / name)] for split, own in titled.items()}
    if not found["train"]:
        if folders and sum(len(own) for own in titled.values()) == len(folders):
            given = f"{root} has {', '.join(folders)}, but no train folder with class folders in it"
            raise InputError.single("data.path", given, WANTED)
        return {"train": "."}
    twice = [
        Problem("data.path", f"{root} has {' and '.join(own)}", f"one folder for {split}")
        for split, own in found.items()
        if len(own) > 1
    ]
    if twice:
        raise InputError(twice)
    return {split: own[0] for split, own in found.items() if own}


def _classes(root: Place, folder: str) -> dict[str, tuple[str, ...]]:
    start = "" if folder == "." else f"{folder}/"
    return {
        name: tuple(f"{start}{name}/{file}" for file in files_below(root / folder / name) if _is_image(file))
        for name in _subfolders(root / folder)
    }


def _is_image(file: str) -> bool:
    return file.lower().endswith(SUFFIXES) and not any(part.startswith(".") for part in file.split("/"))
