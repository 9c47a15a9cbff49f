"""Notices that the head of a cluster is gone, and says so: Ray would end the process without a word of ours."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toprung.cluster.reachable import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger("toprung")
LOOK_EVERY_SECS = 5.0
ANSWER_SECS = 5.0


# Ray ends the process after 60 seconds; a head that is back before goes on with the state that it kept.
GONE_SECS = 45.0
FAILED = 1


@contextmanager
def head_watched(address: str, before_end: Callable[[], None]) -> Iterator[None]:
    """Log an error and end this process when nothing listens at the head's address HOST:PORT for GONE_SECS.

    Nothing else can be done: a call to Ray that waits for the head cannot be interrupted. What was learned is in the
    tables, and Ray ends the workers. `before_end` is called before the process ends, once the error is logged.
    """

    def give_up() -> None:
        _log.error(
            f"the cluster's head at {address} has not answered for {GONE_SECS:g} seconds; what was learned is in the "
            "tables, and the same command goes on where it stopped when the cluster is back"
        )
        logging.shutdown()
        before_end()
        os._exit(FAILED)

    with watch_head(address, give_up):
        yield


@contextmanager
def watch_head(address: str, on_gone: Callable[[], None]) -> Iterator[None]:
    """Call `on_gone` once, from a thread, when nothing listens at the head's address HOST:PORT for GONE_SECS."""
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, done, on_gone), name="toprung-head", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _watch(address: str, done: threading.Event, on_gone: Callable[[], None]) -> None:
    answered_secs = time.monotonic()
    while not done.wait(LOOK_EVERY_SECS):
        if answers(address, ANSWER_SECS):
            answered_secs = time.monotonic()
        elif time.monotonic() - answered_secs >= GONE_SECS:
            on_gone()
            return
