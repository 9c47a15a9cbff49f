"""How long a compiled function takes on this device, where other processes disturb it least."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


# A step is timed over as many steps as take TIMED_SECS, within these bounds, REPEATS times.
TIMED_SECS, MIN_STEPS, MAX_STEPS, REPEATS = 0.5, 8, 256, 3
CALLS = 30
FEW_SECS = 0.2  # what a step is timed over where its trial waits for that


def secs_per_step(run: Callable[[np.ndarray], int], order: np.ndarray) -> float:
    """Seconds of a training step, the best of three measurements after a call that compiles.

    Args:
        run: Trains on the batches that the rows of an order name; returns how many steps it made.
        order: Int (steps, batch), image numbers.
    """
    first = order[:MIN_STEPS]
    run(first)
    secs = _secs_of_a_step(run, first)
    steps = min(max(MIN_STEPS, int(TIMED_SECS / secs)), MAX_STEPS)
    many = np.resize(order, (steps, order.shape[1]))
    return min(_secs_of_a_step(run, many) for _ in range(REPEATS))


def few_steps_secs(make_steps: Callable[[int], float], most: int) -> float:
    """Seconds of a training step: of a first one, or of as many as take `FEW_SECS`, whichever is less disturbed.

    Args:
        make_steps: Makes at most so many steps of an epoch; returns the seconds of each.
        most: Steps of the epoch.
    """
    first = make_steps(1)
    return min(first, make_steps(max(1, min(most, int(FEW_SECS / first)))))


def _secs_of_a_step(run: Callable[[np.ndarray], int], order: np.ndarray) -> float:
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
