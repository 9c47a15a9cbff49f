"""Signals while a library works that cannot be interrupted, or that replaces the handlers of this process."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTS = tuple(number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP"))


@contextmanager
def restore_signal_handlers(*numbers: int) -> Iterator[None]:
    """Set the handlers of these signals back at the block's end; does nothing outside the main thread."""
    if not _may_set_handlers():
        yield
        return
    # None stands for a handler that was not installed from Python, and cannot be set from it.
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not None}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Handle SIGINT, SIGTERM and SIGHUP at the end of the block; a second one is handled at once.

    Ray's start runs Python from C++, where a KeyboardInterrupt is lost or ends the process with a segmentation fault.
    A signal that is ignored stays ignored. Outside the main thread, which alone handles signals, nothing is deferred.
    """
    if not _may_set_handlers():
        yield
        return
    found = {number: signal.getsignal(number) for number in INTERRUPTS}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    received: list[int] = []

    def remember(number: int, frame: Any) -> None:
        received.append(number)
        if len(received) > 1:
            handlers[signal.Signals(number)](number, frame)

    with restore_signal_handlers(*INTERRUPTS):
        for number in handlers:
            signal.signal(number, remember)
        yield
    if received:
        signal.raise_signal(received[0])


def _may_set_handlers() -> bool:
    return threading.current_thread() is threading.main_thread()
