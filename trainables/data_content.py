"""What a data set is, told by its content alone: a fingerprint, and images that stand in two splits."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from trainables.data_splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.data_writer import SplitWriter

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
