"""Which level of folders has the classes, where folders hold folders of the same names: 2024/cats, or cats/2024."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.trainables.data.source_rules.first_names import first_names
from toprung.trainables.data.sources.folder_tree import MAX_WRAPPERS, Folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.data.source_rules.paths import Place
    from toprung.trainables.data.source_rules.spec import ClassLevel

ClassFolders = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Split -> class -> its folders, relative to the root."""

# What detection and segmentation sets are made of: each of their images has a file of each kind.
PARTS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "labels", "label", "masks", "mask", "annotations",
     "annotation", "segmentation", "segmentations", "groundtruth", "gt", "bboxes"}
)  # fmt: skip


@dataclass(frozen=True)
class ChosenLevel:
    """The class folders at the level that has the classes.

    classes: as `ClassFolders`.
    notes: a line where the level was chosen by the folders' names.
    outside: files above the class folders, relative to the root.
    """

    classes: ClassFolders
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


def choose_level(root: Place, outer: ClassFolders, wanted: ClassLevel) -> ChosenLevel:
    """Take the outer folders as classes, or those inside of them.

    Args:
        root: What paths are relative to.
        outer: The folders that are the classes unless those in them are.
        wanted: "inner" is one level below `outer`; "auto" as many as hold folders of the same names.
    """
    paths = {
        split: [path for paths in folders.values() for path in paths] for split, folders in outer.items()
    }
    outside: list[str] = []
    around: list[str] = []
    steps = 0
    while steps < MAX_WRAPPERS and _goes_deeper(root, paths["train"], wanted, steps):
        around = paths["train"]
        paths["train"] = _inside(root, around, outside)
        steps += 1
    if not steps:
        return ChosenLevel(outer)
    known = set(map(_name, paths["train"]))
    for split in [split for split in paths if split != "train"]:
        for _ in range(steps):
            if not known.issuperset(map(_name, paths[split])):
                paths[split] = _inside(root, paths[split], outside)
    classes = {split: _by_name(folders) for split, folders in paths.items()}
    note = (
        f"the classes are the folders in {first_names(around)}, which hold the same: {first_names(sorted(known))}; "
        "`data.class_folders: outer` takes the folders around them"
    )
    return ChosenLevel(classes, (note,) if wanted == "auto" else (), tuple(outside))


def _goes_deeper(root: Place, paths: Sequence[str], wanted: ClassLevel, steps: int) -> bool:
    if wanted == "inner":
        return steps == 0
    return wanted == "auto" and _hold_classes(root, paths)


def _hold_classes(root: Place, paths: Sequence[str]) -> bool:
    """Whether the names in these folders repeat as those of classes in years, places or styles do."""
    if not paths or Folder.read(root, paths[0]).has_images:
        return False  # as it mostly is: a look at the others would cost time
    homes = [home for home in _homes(root, paths, []) if home.folders or home.has_images]
    counts = Counter(name for home in homes for name in home.folders)
    are_numbered = _differ_in_digits([home.path for home in homes])
    if len(homes) < 2 or any(home.has_images for home in homes):
        return False
    if {name.lower() for name in counts} <= PARTS or (_differ_in_digits(counts) and not are_numbered):
        return False
    # A year may lack a class; animals and vehicles may share "other".
    least = 2 if are_numbered else len(homes)
    repeated = sum(count >= least for count in counts.values())
    return len(counts) > 1 and repeated > 0 and 2 * repeated >= len(counts)


def _differ_in_digits(names: Collection[str]) -> bool:
    """Whether names differ in their digits alone: 2023 and 2024, fold1 and fold2, 40X and 100X."""
    return len(set(names)) > 1 and len({re.sub(r"\d+", "0", name) for name in names}) == 1


def _inside(root: Place, paths: Sequence[str], outside: list[str]) -> list[str]:
    """The paths of the folders in these; those of the files beside them are added to `outside`."""
    wrappers: list[Folder] = []
    homes = _homes(root, paths, wrappers)
    outside += [path for folder in (*wrappers, *homes) for path in folder.paths()]
    return [home.below(name) for home in homes for name in home.folders]


def _homes(root: Place, paths: Sequence[str], wrappers: list[Folder]) -> list[Folder]:
    """The folders at these paths; where each holds nothing but a folder of folders, those. `wrappers` get the rest."""
    homes = [Folder.read(root, path) for path in paths]
    for _ in range(MAX_WRAPPERS):
        if any(len(home.folders) != 1 or home.has_images for home in homes):
            break
        inner = [Folder.read(root, home.below(home.folders[0])) for home in homes]
        if not all(home.folders for home in inner):
            break
        wrappers += homes
        homes = inner
    return homes


def _by_name(paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    names = sorted(set(map(_name, paths)))
    return {name: tuple(path for path in paths if _name(path) == name) for name in names}


def _name(path: str) -> str:
    return path.rpartition("/")[2]
