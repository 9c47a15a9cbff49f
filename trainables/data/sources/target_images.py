"""Masks and label maps among the images of a class: pictures of what is in other pictures, and nothing to classify."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDERS = frozenset(
    {"masks", "mask", "labels", "label", "annotations", "annotation", "segmentation", "segmentations",
     "segmentation_masks", "groundtruth", "ground_truth", "gt"}
)  # fmt: skip
MARK = re.compile(
    r"[-_ .]+(masks?|seg|segmentation|annotations?|ground_?truth|gt)([-_ .]*\d+)?$", re.IGNORECASE
)


def target_images(files: Sequence[str]) -> frozenset[str]:
    """Those of the image files of a class that are masks of others, by their names.

    A mask lies in a folder that is called so (masks/7.png beside images/7.png), or its name says so
    (7_mask.png beside 7.png); without that it has the name of another image.

    Args:
        files: Paths from the class folder.
    """
    marked = [file for file in files if _is_marked(file)]
    images = {_stem(file) for file in {*files} - {*marked}}
    return frozenset(file for file in marked if MARK.sub("", _stem(file)) in images)


def _is_marked(file: str) -> bool:
    return PurePosixPath(file).parent.name.lower() in FOLDERS or bool(MARK.search(_stem(file)))


def _stem(file: str) -> str:
    return PurePosixPath(file).stem
