"""A model asked about many images, in batches of one size, so that nothing is compiled twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

# Images of one call: what fits a CPU's cache, and what fills an accelerator.
CPU_BYTES, ACCELERATOR_BYTES = 4 * 2**20, 64 * 2**20


def answers(ask: Callable[[Any], np.ndarray], images: Any, accelerated: bool, parts: int = 1) -> np.ndarray:
    """What `ask` makes of each image (or of its features), the memory of a call being cut into `parts`.

    The last batch is filled up with the last image.
    """
    count = len(images)
    budget = ACCELERATOR_BYTES if accelerated else CPU_BYTES
    largest = max(1, budget // parts // images[0].nbytes)
    size = -(-count // -(-count // largest))
    rows = (np.minimum(np.arange(start, start + size), count - 1) for start in range(0, count, size))
    return np.concatenate([ask(images[batch]) for batch in rows])[:count]
