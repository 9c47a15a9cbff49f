"""The files that commands write, checked before any work is done for them, and paths as people read them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def picture_target(path: str | Path, option: str, suffixes: Sequence[str] = PICTURE_SUFFIXES) -> Path:
    """The path, if a picture can be saved there. Raises `InputError`, pointing at the command's `option`."""
    if Path(path).suffix.lower() not in suffixes:
        raise InputError.single(option, str(path), f"must be a file name that ends in {', '.join(suffixes)}")
    return writable_file(path, option)


def writable_file(path: str | Path, option: str) -> Path:
    """The path, if a file can be written there. Raises `InputError`, pointing at the command's `option`."""
    target = Path(path).expanduser()
    folder = target.absolute().parent
    if not folder.is_dir():
        raise InputError.single(option, f"{folder} is no folder", "must be a file in a folder that exists")
    if target.is_dir() or not os.access(target if target.exists() else folder, os.W_OK):
        raise InputError.single(option, f"{target} cannot be written", "must be a file that can be written")
    return target


def short_path(root: str) -> str:
    """The root relative to the working folder where it is inside of it."""
    return root.removeprefix(f"{Path.cwd()}/")
