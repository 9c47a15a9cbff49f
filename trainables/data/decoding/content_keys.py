"""Two numbers for each image, from its content and the job's seed alone: they decide its split and its rank."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toprung.trainables.data.decoding.ordered_map import in_order
from toprung.trainables.data.source_rules.paths import open_regular
from toprung.trainables.system.resource_limits import whole_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.data.source_rules.base import Images, Item

CHUNK_IMAGES = 64
MAX_THREADS = 16

Keys = NDArray[np.float64]
"""For each image two independent uniform numbers in [0, 1), (N, 2): the first for its split, the second its rank."""


def content_keys(images: Images, seed: int) -> Keys:
    """The keys of images, from SHA-256 digests of the seed and of their encoded bytes, or of the pixels of an array.

    Equal images have equal keys, wherever they lie and whatever they are called.
    """
    threads = min(MAX_THREADS, whole_cores())
    with ThreadPoolExecutor(threads, thread_name_prefix="hash") as pool:
        chunks = in_order(pool, lambda items: _keys(items, seed), images.chunks(CHUNK_IMAGES), threads + 2)
        return np.concatenate([*chunks, np.zeros((0, 2))])


def _keys(items: Sequence[Item], seed: int) -> Keys:
    digests = b"".join(hashlib.sha256(f"{seed} ".encode() + _digest(item)).digest()[:16] for item in items)
    return (np.frombuffer(digests, ">u8").reshape(-1, 2) >> 11) / 2.0**53


def _digest(item: Item) -> bytes:
    if isinstance(item, np.ndarray):
        shape = ",".join(map(str, item.shape)).encode()
        return hashlib.sha256(shape + np.ascontiguousarray(item).tobytes()).digest()
    if isinstance(item, bytes):
        return hashlib.sha256(item).digest()
    try:
        with open_regular(item) as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return b""  # it is found unreadable when it is decoded
