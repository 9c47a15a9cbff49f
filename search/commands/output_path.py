"""Where a picture may be saved, found out before any work is spent on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def picture_target(path: str | Path, option: str, suffixes: Sequence[str] = PICTURES) -> Path:
    """`path` if a picture can be saved there; InputError, pointing at the command's `option`, otherwise."""
    target = Path(path).expanduser()
    if target.suffix.lower() not in suffixes:
        raise InputError.single(option, str(path), f"a file name ending in {', '.join(suffixes)}")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise InputError.single(option, f"{folder} is no folder", "a folder that exists")
    if target.is_dir() or not os.access(target if target.exists() else folder, os.W_OK):
        raise InputError.single(option, f"{target} cannot be written", "a file that can be written")
    return target
