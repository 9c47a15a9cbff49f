"""Ends a process in which a step takes too long: a thread that hangs in native code cannot be stopped otherwise."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_EVERY_SECS = 10.0


class Watchdog:
    """Ends this process when a block takes longer than `limit_secs`, after a call of `report`.

    One thread watches all blocks, beside native code that may never return; a block costs microseconds.
    """

    def __init__(self, limit_secs: float, report: Callable[[], None]) -> None:
        self._limit_secs, self._report = limit_secs, report
        self._deadline, self._deciding = math.inf, threading.Lock()
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    @contextmanager
    def limited(self) -> Iterator[None]:
        """The block has `limit_secs` from now."""
        self._deadline = time.monotonic() + self._limit_secs
        try:
            yield
        finally:
            with self._deciding:  # once the process is being ended, the result of the block comes too late
                self._deadline = math.inf

    def _watch(self) -> None:
        while True:
            time.sleep(min(LOOK_EVERY_SECS, self._limit_secs / 4))
            with self._deciding:
                if time.monotonic() > self._deadline:
                    try:
                        self._report()
                    finally:
                        os._exit(1)
