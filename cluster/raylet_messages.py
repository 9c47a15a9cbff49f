"""Keeps Ray's own messages off the terminal: for a worker that dies they are 25 lines or more, the log has one."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNHANDLED = "RAY_IGNORE_UNHANDLED_ERRORS"


@contextmanager
def without_raylet_messages() -> Iterator[None]:
    """Print nothing of what raylets report to this process within the block.

    Ray prints it to standard output from a thread of its own, whatever `log_to_driver` says, and has no setting for it.
    Nor is the traceback printed of a worker that ended when nothing waits for its answer any more.
    """
    from ray._private import worker

    print_to_stdstream = worker.print_to_stdstream

    def print_others(data: Mapping[str, object], ignore_prefix: bool) -> None:
        if data.get("pid") != "raylet":
            print_to_stdstream(data, ignore_prefix)

    worker.print_to_stdstream = print_others
    is_set = UNHANDLED in os.environ
    os.environ.setdefault(UNHANDLED, "1")
    try:
        yield
    finally:
        if not is_set:
            os.environ.pop(UNHANDLED, None)
        worker.print_to_stdstream = print_to_stdstream
