"""Says what a user's code is doing where it does not come back, which would look as if the command hung."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_SECS = 15.0  # the import of TensorFlow may take most of it
_log = logging.getLogger("toprung")


@contextmanager
def told_if_slow(doing: str, slow_secs: float = SLOW_SECS) -> Iterator[None]:
    """Log one line where the block takes longer than `slow_secs`; it goes on.

    Args:
        doing: What is being done, such as "my_models.py is being imported".
        slow_secs: How long that may take without a word.
    """
    line = f"{doing}, for {slow_secs:.0f} seconds by now; Ctrl-C ends it"
    timer = threading.Timer(slow_secs, _log.warning, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
