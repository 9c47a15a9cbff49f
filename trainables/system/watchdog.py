"""A step that may not take for ever: a hung process says so and ends, for it can do nothing else."""

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
    """Ends this process when a block takes longer than `limit_secs`, after `tell`.

    It is watched by one thread for all blocks, which runs beside native code that never returns; a block costs
    microseconds.
    """

    def __init__(self, limit_secs: float, tell: Callable[[], None]) -> None:
        self._limit_secs, self._tell = limit_secs, tell
        self._at, self._deciding = math.inf, threading.Lock()
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The block has `limit_secs` from now."""
        self._at = time.monotonic() + self._limit_secs
        try:
            yield
        finally:
            with self._deciding:  # whoever gives up keeps it: what the block found comes too late
                self._at = math.inf

    def _watch(self) -> None:
        while True:
            time.sleep(min(LOOK_EVERY_SECS, self._limit_secs / 4))
            with self._deciding:
                if time.monotonic() > self._at:
                    try:
                        self._tell()
                    finally:
                        os._exit(1)
