"""Shows on standard output what the library logs while a command runs."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator


class _ConsoleHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # `print` looks up sys.stdout at each call, which a live panel replaces; a broken pipe ends the command.
        line = mask_secrets(record.getMessage())
        print(line if record.name == PROGRESS_LOG else f"note: {line}", flush=True)


@contextmanager
def log_on_console() -> Iterator[None]:
    """Print the records of the logger `toprung` for the block, from INFO on, and pass them to no other handler."""
    log, handler = logging.getLogger("toprung"), _ConsoleHandler()
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
