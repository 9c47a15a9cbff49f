"""Which folders are splits and which are classes, in a folder of class folders; and which are neither."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.source_rules.split_names import split_folders
from toprung.trainables.data.sources.class_levels import PARTS, choose_level
from toprung.trainables.data.sources.folder_tree import Folder, passed_through

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.data.source_rules.paths import Place
    from toprung.trainables.data.source_rules.spec import ClassLevel
    from toprung.trainables.data.sources.class_levels import ClassFolders

ALLOWED = "a folder with one folder of images for each class, or with train, val and test folders of such"
PLAIN_NAMES = ("train", "val", "validation", "test")


@dataclass
class FolderLayout:
    """The class folders below a root.

    classes: as `ClassFolders`; "train" is always there.
    notes: lines about folders that are used in an unusual way.
    outside: files in no class folder, relative to the root.
    unused: folders beside the splits that are not used, relative to the root.
    """

    classes: ClassFolders
    notes: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def layout_of(root: Place, class_folders: ClassLevel) -> FolderLayout:
    """Find the class folders below `root`.

    Splits are the folders that are named as such and hold folders; where every class folder holds folders that are
    named as splits, these. A folder that holds nothing but one folder with folders in it is passed through.
    `class_folders` says which level of folders has the classes where there are several.

    Raises:
        InputError: Two folders of one split; or all folders are named as splits, but none is train.
    """
    wrappers: list[Folder] = []
    top = passed_through(root, Folder.read(root, "."), wrappers)
    layout = _layout_in(root, top)
    chosen = choose_level(root, layout.classes, class_folders)
    around = [path for folder in wrappers for path in folder.paths()]
    return FolderLayout(
        chosen.classes,
        [*layout.notes, *chosen.notes],
        [*around, *layout.outside, *chosen.outside],
        layout.unused,
    )


def _layout_in(root: Place, top: Folder) -> FolderLayout:
    by_split = _folders_by_split(root, top)
    if "train" in by_split:
        return _with_split_folders(root, top, by_split)
    _refuse_parts(root, top)
    inner = _splits_inside(root, top)
    if len(inner) > 1:
        return _with_splits_inside(root, top, inner)
    notes = [f"the class folders are those in {top.path}"] if top.path != "." else []
    classes = {name: (top.below(name),) for name in top.folders}
    return FolderLayout({"train": classes}, notes, top.paths())


def _folders_by_split(root: Place, top: Folder) -> dict[str, str]:
    """Split -> its folder; a folder without folders in it is no split, but a class or unlabelled images."""
    meant = split_folders(top.folders)
    holding = {name: split for name, split in meant.items() if Folder.read(root, top.below(name)).folders}
    if "train" not in holding.values():
        others = [name for name in top.folders if name not in meant and _may_be_class(root, top, name)]
        are_flat = not others and "train" in meant.values() and len({*meant.values()}) > 1
        if top.folders and (are_flat or len(meant) == len(top.folders)):
            given = f"{root} has {', '.join(top.folders)}, but no train folder with class folders in it"
            raise InputError.single("data.path", given, ALLOWED)
        return {}
    by_split: dict[str, list[str]] = {}
    for name, split in holding.items():
        by_split.setdefault(split, []).append(name)
    repeated = [
        Problem("data.path", f"{root} has {' and '.join(names)}", f"one folder for {split}")
        for split, names in by_split.items()
        if len(names) > 1
    ]
    if repeated:
        raise InputError(repeated)
    return {split: by_split[split][0] for split in ("train", "val", "test") if split in by_split}


def _refuse_parts(root: Place, folder: Folder) -> None:
    if len(folder.folders) > 1 and all(name.lower() in PARTS for name in folder.folders):
        found = ", ".join(map(folder.below, folder.folders))
        given = f"{root} has {found}: the parts of a data set for another task, and no classes"
        raise InputError.single("data.path", given, ALLOWED)


def _may_be_class(root: Place, top: Folder, name: str) -> bool:
    return name.lower() not in PARTS and Folder.read(root, top.below(name)).has_images


def _with_split_folders(root: Place, top: Folder, by_split: Mapping[str, str]) -> FolderLayout:
    others = [top]
    homes: dict[str, Folder] = {}
    for split, name in by_split.items():
        known = homes["train"].folders if homes else ()
        homes[split] = passed_through(root, Folder.read(root, top.below(name)), others, known)
        _refuse_parts(root, homes[split])
    classes = {split: {name: (home.below(name),) for name in home.folders} for split, home in homes.items()}
    outside = [path for folder in (*others, *homes.values()) for path in folder.paths()]
    notes = []
    if any(home.path not in PLAIN_NAMES for home in homes.values()):
        notes.append(
            "splits by folder: " + ", ".join(f"{split} is {home.path}" for split, home in homes.items())
        )
    unused = [top.below(name) for name in top.folders if name not in by_split.values()]
    for split in ("val", "test"):
        strangers = classes.get(split, {}).keys() - classes["train"].keys()
        if strangers and len(classes[split]) == 1:
            # A folder such as test/unknown holds what nobody has labelled.
            notes.append(f"{homes[split].path} has no labels: its only class folder is {strangers.pop()!r}")
            unused.append(top.below(by_split[split]))
            del classes[split]
    return FolderLayout(classes, notes, outside, unused)


def _splits_inside(root: Place, top: Folder) -> dict[str, dict[str, str]]:
    """Class folder -> its folders that are splits -> which; nothing unless train is among them in every class."""
    inner: dict[str, dict[str, str]] = {}
    for name in top.folders:
        inner[name] = split_folders(Folder.read(root, top.below(name)).folders)
        if "train" not in inner[name].values():
            return {}
    return inner


def _with_splits_inside(root: Place, top: Folder, inner: Mapping[str, Mapping[str, str]]) -> FolderLayout:
    """Class folders that hold their splits: cats/train, cats/test, dogs/train, ..."""
    classes: dict[str, dict[str, tuple[str, ...]]] = {"train": {}}
    outside, unused = top.paths(), []
    for name, splits in inner.items():
        home = Folder.read(root, top.below(name))
        outside += home.paths()
        unused += [home.below(folder) for folder in home.folders if folder not in splits]
        for folder, split in splits.items():
            if name in classes.setdefault(split, {}):
                given = f"{root} has {classes[split][name][0]} and {home.below(folder)}"
                raise InputError.single("data.path", given, f"one folder for {split}")
            classes[split][name] = (home.below(folder),)
    notes = [f"the splits are the folders in each class folder: {', '.join(classes)}"]
    return FolderLayout(classes, notes, outside, unused)
