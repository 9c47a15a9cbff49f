"""One split's array files, written row by row, so that no split has to fit in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def images_file(split: str) -> str:
    return f"{split}_images.npy"


def labels_file(split: str) -> str:
    return f"{split}_labels.npy"


class SplitWriter:
    """Appends to SPLIT_images.npy, uint8 (N, H, W, C); writes SPLIT_labels.npy, int32 (N,) or (N, classes)."""

    def __init__(self, folder: Path, split: str, shape: tuple[int, ...]) -> None:
        self.folder, self.split, self.shape = folder, split, shape
        self.labels: list[Any] = []
        self.digests: list[bytes] = []
        self.names: list[str] = []
        self._file = (folder / images_file(split)).open("wb")
        self._header()

    def append(self, image: NDArray[np.uint8], label: Any, digest: bytes, name: str) -> None:
        """Add one image, its label (a number, or a list of 0 and 1), its pixels' SHA-256 and what a person calls it."""
        self._file.write(image.data)
        self.labels.append(label)
        self.digests.append(digest)
        self.names.append(name)

    def close(self) -> None:
        """Finish both files."""
        self._file.seek(0)
        self._header()
        self._file.close()
        np.save(self.folder / labels_file(self.split), np.asarray(self.labels, dtype=np.int32))

    def _header(self) -> None:
        # NumPy pads the header so that the first axis can grow to any length in place.
        shape = (len(self.labels), *self.shape)
        npy.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})
