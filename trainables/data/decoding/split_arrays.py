"""One split's array files, written row by row, so that no split has to fit in memory."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from toprung.trainables.data.decoding.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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


NAMED = 5


def fingerprint(writers: Mapping[str, SplitWriter], classes: Sequence[str]) -> str:
    """SHA-256 (hex) of class names, image shape, labels and pixels; of no path or file name."""
    shape = writers["train"].shape
    whole = hashlib.sha256(json.dumps([classes, shape]).encode())
    for split in SPLITS:
        writer = writers[split]
        whole.update(f"{split} {len(writer.labels)}".encode())
        whole.update(np.asarray(writer.labels, dtype="<i4").tobytes())
        whole.update(b"".join(writer.digests))
    return whole.hexdigest()


def duplicates(writers: Mapping[str, SplitWriter]) -> tuple[int, list[str]]:
    """How many images of val and test are, pixel for pixel, in an earlier split too, and a few names."""
    seen: dict[bytes, str] = {}
    count = 0
    named: list[str] = []
    for split in SPLITS:
        own = list(zip(writers[split].digests, writers[split].names, strict=True))
        for digest, name in own:
            if digest in seen:
                count += 1
                if len(named) < NAMED:
                    named.append(f"{split}: {name} = {seen[digest]}")
        for digest, name in own:
            seen.setdefault(digest, f"{split}: {name}")
    return count, named
