"""A folder for each class, with or without train, val and test folders around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.source_rules.base import Item, Listing, Source, SourceSplit, file_stamp
from toprung.trainables.data.source_rules.first_names import first_names
from toprung.trainables.data.source_rules.formats import (
    COMMON,
    about_other_files,
    counted_by_suffix,
    has_image_suffix,
    is_image_file,
    is_visible,
    suffix_of,
)
from toprung.trainables.data.source_rules.paths import Place, files_below, located
from toprung.trainables.data.sources.class_levels import PARTS
from toprung.trainables.data.sources.folder_layout import ALLOWED, layout_of
from toprung.trainables.data.sources.target_images import target_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toprung.trainables.data.source_rules.spec import DataSpec

ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"})
ELSEWHERE = (
    "; where a table or file names say the classes, give data.source FILE.py:FUNCTION, which reads them"
)


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


@dataclass(frozen=True)
class ClassFiles:
    """The files of one class, in its folders and deeper, relative to the root and sorted.

    folders: the folders of the class, relative to the root.
    images: those that Pillow reads, by their suffix, or by their first bytes where they have none.
    targets: images that are masks of the others, by their names.
    others: the rest, hidden files that look like images included.
    """

    folders: tuple[str, ...]
    images: tuple[str, ...]
    targets: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The folders in a message."""
        return ", ".join(self.folders)


class FolderSource(Source):
    """Class folders under `path`, or under its folders for the splits (see `folder_layout`).

    A class has the name of its folder, and its place in the sorted order of the training folders as its number; its
    images lie in it or deeper. What is not used is told by `unused`.
    """

    names: ClassVar[tuple[str, ...]] = ("folder",)

    def __init__(self, spec: DataSpec) -> None:
        self.root = located(spec.path, "folder", ALLOWED)
        if not self.root.is_dir():
            unpacked = "unpack it: " if suffix_of(self.root.name) in ARCHIVES else ""
            allowed = f"{unpacked}{ALLOWED}; or an .npz or .parquet file"
            raise InputError.single("data.path", f"{self.root} is a file", allowed)
        self.layout = layout_of(self.root, spec.class_folders)

    @cached_property
    def files(self) -> Mapping[str, Mapping[str, ClassFiles]]:
        """Split -> class -> its files; class folders without files included."""
        return {
            split: {name: _class_files(self.root, folders) for name, folders in classes.items()}
            for split, classes in self.layout.classes.items()
        }

    def stamps(self) -> tuple[str, ...]:
        groups = [files for classes in self.files.values() for files in classes.values()]
        images = [file for files in groups for file in files.images]
        empty = [files.folder for files in groups if not files.images]
        return (str(self.root), *(file_stamp(self.root / file, file) for file in images), *empty)

    def unused(self) -> tuple[str, ...]:
        groups = [files for classes in self.files.values() for files in classes.values()]
        others = [file for files in groups for file in files.others]
        return (
            *self.layout.notes,
            *_about_unused_folders(self.root, self.layout.unused),
            *_about_empty([files.folder for files in groups if not files.images]),
            *_about_folders_inside(groups),
            *_about_targets([file for files in groups for file in files.targets]),
            *_about_files_outside(self.layout.outside),
            *([about_other_files(others)] if others else ()),
        )

    def listing(self) -> Listing:
        problems = self._problems()
        if problems:
            raise InputError(problems)
        classes = [name for name, files in self.files["train"].items() if files.images]
        return Listing(
            tuple(classes), {split: self._split(files, classes) for split, files in self.files.items()}
        )

    def _split(self, files_by_class: Mapping[str, ClassFiles], classes: Sequence[str]) -> SourceSplit:
        filled = {name: files.images for name, files in files_by_class.items() if files.images}
        numbers = [np.full(len(files), classes.index(name), np.int64) for name, files in filled.items()]
        all_files = tuple(file for files in filled.values() for file in files)
        return SourceSplit(
            FileImages(self.root, all_files), np.concatenate([*numbers, np.zeros(0, np.int64)])
        )

    def _problems(self) -> list[Problem]:
        train = self.files["train"]
        filled = [name for name, files in train.items() if files.images]
        unread = [
            Problem(
                "data.path",
                f"class folder {files.folder!r} in {self.root} has no image, but {counted_by_suffix(files.others)}",
                f"convert them: {COMMON} can be used",
            )
            for files in train.values()
            if files.others and not files.images
        ]
        if unread:
            return unread
        if len(filled) < 2:
            there = f"one class folder with images ({filled[0]})" if filled else "no class folder with images"
            if self.layout.outside:
                there += f", but {counted_by_suffix(self.layout.outside)} in none"
            return [
                Problem("data.path", f"{self.root} has {there}", f"at least 2 classes: {ALLOWED}{ELSEWHERE}")
            ]
        return [
            Problem(
                "data.path",
                f"{split} in {self.root} has a class {name!r} that train has not",
                f"one of {', '.join(filled)}",
            )
            for split, classes in self.files.items()
            for name, files in classes.items()
            if files.images and name not in filled
        ]


def _class_files(root: Place, folders: Sequence[str]) -> ClassFiles:
    images: list[str] = []
    targets: list[str] = []
    others: list[str] = []
    for folder in folders:
        readable: list[str] = []
        for file in files_below(root / folder):
            parts = file.split("/")
            if all(map(is_visible, parts)) and is_image_file(root / folder / file):
                readable.append(file)
            elif all(map(is_visible, parts)) or (has_image_suffix(file) and all(map(is_visible, parts[:-1]))):
                others.append(f"{folder}/{file}")
        masks = target_images(readable)
        targets += [f"{folder}/{file}" for file in readable if file in masks]
        images += [f"{folder}/{file}" for file in readable if file not in masks]
    return ClassFiles(tuple(folders), tuple(images), tuple(targets), tuple(others))


def _about_unused_folders(root: Place, folders: Sequence[str]) -> Iterator[str]:
    if folders:
        counts = [(name, sum(map(has_image_suffix, files_below(root / name)))) for name in folders]
        verb = "folders are" if len(folders) > 1 else "folder is"
        named = [f"{name} ({count:,} image{'s' * (count != 1)})" for name, count in counts]
        yield f"{len(folders):,} {verb} beside the splits and not used: {first_names(named)}"


def _about_empty(folders: Sequence[str]) -> Iterator[str]:
    if folders:
        verb = "folders have" if len(folders) > 1 else "folder has"
        yield f"{len(folders):,} class {verb} no image: {first_names(folders)}"


def _about_folders_inside(groups: Sequence[ClassFiles]) -> Iterator[str]:
    """Folders in class folders: their images belong to the class, but they may have been meant as classes."""
    homes = {
        folder: inner
        for files in groups
        for folder in files.folders
        if (inner := _inner_folders(folder, files.images))
    }
    shared, many = set(homes.values()), sum(len(files.folders) for files in groups)
    if len(homes) == many > 1 and len(shared) == 1 and len(inner := shared.pop()) > 1:
        yield (
            f"the class folders {first_names(list(homes))} hold folders of the same names, {first_names(inner)}, whose "
            "images belong to them; `data.class_folders: inner` makes the inner folders the classes"
        )
    elif homes:
        verb = "folders hold" if len(homes) > 1 else "folder holds"
        named = first_names([f"{home}/{inner}" for home, found in homes.items() for inner in found])
        yield (
            f"class {verb} folders, which are no classes of their own: {named}; `data.class_folders: inner` makes them "
            "classes"
        )


def _inner_folders(folder: str, images: Sequence[str]) -> tuple[str, ...]:
    """The folders in a class folder that hold images, sorted; those called images and the like are no classes."""
    below = (image.removeprefix(f"{folder}/") for image in images if image.startswith(f"{folder}/"))
    names = {file.partition("/")[0] for file in below if "/" in file}
    return tuple(sorted(name for name in names if name.lower() not in PARTS))


def _about_targets(files: Sequence[str]) -> Iterator[str]:
    if files:
        verb = "images are masks" if len(files) > 1 else "image is a mask"
        yield f"{len(files):,} {verb} of others, by their names, and not used: such as {files[0]}"


def _about_files_outside(files: Sequence[str]) -> Iterator[str]:
    if files:
        verb = "files are" if len(files) > 1 else "file is"
        yield f"{len(files):,} {verb} in no class folder and not used: {counted_by_suffix(files)}, such as {files[0]}"
