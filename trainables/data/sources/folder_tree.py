"""Folders below a root as a source of images sees them: without what is hidden or left behind by a system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.trainables.data.source_rules.formats import has_image_suffix, is_visible
from toprung.trainables.data.source_rules.paths import entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.data.source_rules.paths import Place

MAX_WRAPPERS = 5  # folders around folders that are passed through


@dataclass(frozen=True)
class Folder:
    """A folder below the root: its path from there, its folders and its files, without hidden ones."""

    path: str
    folders: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def read(cls, root: Place, path: str) -> Folder:
        found = [(name, is_folder) for name, is_folder in entries(root / path) if is_visible(name)]
        folders = tuple(name for name, is_folder in found if is_folder)
        return cls(path, folders, tuple(name for name, is_folder in found if not is_folder))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def has_images(self) -> bool:
        """Whether images lie in the folder itself."""
        return any(map(has_image_suffix, self.files))

    def paths(self) -> list[str]:
        """The paths of the files from the root."""
        return list(map(self.below, self.files))

    def below(self, name: str) -> str:
        """The path of a name in this folder, from the root."""
        return name if self.path == "." else f"{self.path}/{name}"


def passed_through(
    root: Place, folder: Folder, wrappers: list[Folder], classes: Sequence[str] = ()
) -> Folder:
    """The folder, or where it holds no image and one folder that holds folders, that one.

    A folder that is one of `classes` is not passed through; `wrappers` get the folders that are.
    """
    for _ in range(MAX_WRAPPERS):
        if len(folder.folders) != 1 or folder.folders[0] in classes or folder.has_images:
            break
        inner = Folder.read(root, folder.below(folder.folders[0]))
        if not inner.folders:
            break
        wrappers.append(folder)
        folder = inner
    return folder
