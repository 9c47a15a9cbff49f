"""A model asked about many images, in batches of one size, so that nothing is compiled twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Images of one call: what fits a CPU's cache, and what fills an accelerator.
CPU_BYTES, ACCELERATOR_BYTES = 4 * 2**20, 64 * 2**20


def answers(ask: Callable[[Any], np.ndarray], images: Any, accelerated: bool, parts: int = 1) -> np.ndarray:
    """What `ask` makes of each image (or of its features), the memory of a call being cut into `parts`."""
    asked = [ask(images[rows]) for rows in batches(images, accelerated, parts)]
    return np.concatenate(asked)[: len(images)]


def batches(images: Any, accelerated: bool, parts: int = 1) -> Iterator[np.ndarray]:
    """The rows of each batch, all of one size: the last is filled up with the last image."""
    count = len(images)
    budget = ACCELERATOR_BYTES if accelerated else CPU_BYTES
    largest = max(1, budget // parts // images[0].nbytes)
    size = -(-count // -(-count // largest))
    for start in range(0, count, size):
        yield np.minimum(np.arange(start, start + size), count - 1)
