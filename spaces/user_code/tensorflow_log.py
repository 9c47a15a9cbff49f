"""Keeps the lines that TensorFlow writes at its start out of the output, where a user's code imports it.

Native code writes most of them, before any setting counts, so that only the file descriptor can be kept from it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START_LINE = re.compile(
    rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |[IWE]\d{4} \d\d:\d\d:\d\d?[\d.]* +\d+ )\S+:\d+\] "
    rb"|(?:WARNING: All log messages before absl::InitializeLog\(\)|To enable the following instructions: "
    rb"|Skipping registering GPU devices)"
)
"""A line of the native log below FATAL, in TensorFlow's format or Abseil's, and what stands between such lines."""


_one_at_a_time = threading.Lock()
"""Two threads would each take the other's file for the terminal."""


@contextmanager
def without_start_lines() -> Iterator[None]:
    """Drop TensorFlow's own lines from standard error; all others are written at the block's end.

    Does nothing in a process that has imported TensorFlow before, and while another block does it.
    """
    if "tensorflow" in sys.modules or sys.stderr is None or not _one_at_a_time.acquire(blocking=False):
        yield
        return
    try:
        with _filtered():
            yield
    finally:
        _one_at_a_time.release()


@contextmanager
def _filtered() -> Iterator[None]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            log.seek(0)
            for line in log:
                if not START_LINE.match(line):
                    os.write(2, line)
