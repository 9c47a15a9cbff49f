"""The array files of one split, written row by row, so that no split has to fit in memory."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from toprung.trainables.data.decoding.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Label = int | list[int]
"""The label of one image: its class number, or 0 and 1 for each class."""


def images_file(split: str) -> str:
    return f"{split}_images.npy"


def labels_file(split: str) -> str:
    return f"{split}_labels.npy"


def names_file(split: str) -> str:
    return f"{split}_names.json"


class SplitWriter:
    """Writes SPLIT_images.npy, uint8 (N, H, W, C), image by image, and SPLIT_labels.npy, int32 (N,) or (N, classes).

    SPLIT_names.json holds the names of the images in their source, a list of N texts.

    Args:
        folder: The folder of the files.
        split: The name of the split.
        shape: The shape (H, W, C) of every image.
    """

    def __init__(self, folder: Path, split: str, shape: tuple[int, ...]) -> None:
        self.folder, self.split, self.shape = folder, split, shape
        self.labels: list[Label] = []
        self.digests: list[bytes] = []
        self.names: list[str] = []
        self._file = (folder / images_file(split)).open("wb")
        self._write_header()

    def append(self, image: NDArray[np.uint8], label: Label, digest: bytes, name: str) -> None:
        """Add one image with its label, the SHA-256 of its pixels and its name in messages."""
        self._file.write(image.data)
        self.labels.append(label)
        self.digests.append(digest)
        self.names.append(name)

    def close(self) -> None:
        """Complete the files."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        np.save(self.folder / labels_file(self.split), np.asarray(self.labels, dtype=np.int32))
        (self.folder / names_file(self.split)).write_text(json.dumps(self.names), encoding="ascii")

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis can grow to any length in place.
        shape = (len(self.labels), *self.shape)
        npy.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def fingerprint(writers: Mapping[str, SplitWriter], classes: Sequence[str]) -> str:
    """SHA-256 (hex) of class names, image shape, labels and pixels; of no path or file name."""
    shape = writers["train"].shape
    digest = hashlib.sha256(json.dumps([classes, shape]).encode())
    for split in SPLITS:
        writer = writers[split]
        digest.update(f"{split} {len(writer.labels)}".encode())
        digest.update(np.asarray(writer.labels, dtype="<i4").tobytes())
        digest.update(b"".join(writer.digests))
    return digest.hexdigest()
