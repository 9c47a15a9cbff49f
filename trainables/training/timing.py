"""How long a compiled function takes on this device, where its neighbours disturb it least."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


# What a step is timed by: as many steps as this takes, and how often.
TIMED_SECS, FEWEST_STEPS, MOST_STEPS, TIMES = 0.5, 8, 256, 3
CALLS = 30


def secs_per_step(run: Callable[[np.ndarray], int], order: np.ndarray) -> float:
    """Seconds of a training step, the best of three tries after one that compiles.

    `run` trains on the batches that the rows of `order` name and returns how many steps it took.
    """
    first = order[:FEWEST_STEPS]
    run(first)
    secs = _timed(run, first)
    steps = min(max(FEWEST_STEPS, int(TIMED_SECS / secs)), MOST_STEPS)
    many = np.resize(order, (steps, order.shape[1]))
    return min(_timed(run, many) for _ in range(TIMES))


def _timed(run: Callable[[np.ndarray], int], order: np.ndarray) -> float:
    began = time.perf_counter()
    steps = run(order)
    return (time.perf_counter() - began) / steps


def fastest_call_secs(call: Callable[[], object]) -> float:
    """Seconds of the fastest of 30 calls."""
    secs = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        secs.append(time.perf_counter() - began)
    return min(secs)
