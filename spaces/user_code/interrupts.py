"""Tells Ctrl-C from a KeyboardInterrupt that a user's code raises itself."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

INTERRUPTS = tuple(number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP"))


@contextmanager
def interrupts_noted() -> Iterator[Sequence[int]]:
    """Note the signals that interrupt the block, which are handled as ever.

    Outside the main thread, which alone handles signals, there are none.

    Yields:
        The signals so far: while it is empty, a KeyboardInterrupt in the block is one that its code raised.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    found = {number: signal.getsignal(number) for number in INTERRUPTS}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        handlers[signal.Signals(number)](number, frame)

    for number in handlers:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is note:  # not one that the code has set
                signal.signal(number, handler)
