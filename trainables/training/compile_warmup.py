"""Compiling ahead of an epoch: XLA compiles at the first call of a shape, which no epoch should pay for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class CompileWarmup:
    """Remembers which shapes XLA has compiled for one model.

    Args:
        compiles_late: Whether the model's functions are compiled at their first call, as XLA does.
    """

    def __init__(self, compiles_late: bool) -> None:
        self._compiles_late = compiles_late
        self._compiled: set[Hashable] = set()

    def run(self, shape: Hashable, first_calls: Callable[[], None]) -> ResourceUsage:
        """Make the first calls of a shape if they have not been made; returns what that took.

        Args:
            shape: All that decides which code is compiled.
            first_calls: Calls each function once, without an effect on the trial.
        """
        if not self._compiles_late or shape in self._compiled:
            return ResourceUsage()
        self._compiled.add(shape)
        began = time.perf_counter()
        first_calls()
        return ResourceUsage(compile_secs=time.perf_counter() - began)
