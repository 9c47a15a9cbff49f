"""A step that may not take for ever: a hung process says so and ends, for it can do nothing else."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """Ends this process when the block takes longer than `limit_secs`, after `tell`.

    It is watched by a thread of its own, which runs beside native code that never returns.
    """

    def __init__(self, limit_secs: float, tell: Callable[[], None]) -> None:
        self._tell, self._is_over, self._deciding = tell, False, threading.Lock()
        self._timer = threading.Timer(limit_secs, self._give_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._deciding:  # whoever gives up keeps it: what the block found comes too late
            self._is_over = True

    def _give_up(self) -> None:
        with self._deciding:
            if not self._is_over:
                try:
                    self._tell()
                finally:
                    os._exit(1)
