"""Starts the process that mirrors a run's tables to a tracker, and tells it when the search is over."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from shlex import quote
from typing import TYPE_CHECKING

from toprung.results.tracking.mirror import PERIOD_SECS
from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.tracker_kinds import title_of
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from toprung.results.tracking.tracking_settings import Tracking
    from toprung.trainables.system.storage import Root

_log = logging.getLogger("toprung")


class Tracker:
    """Keeps a tracker up to date with the tables at `root`, those of earlier drivers included, in an own process.

    The search never waits for it, and it costs the driver nothing. When it does not answer, `warn` gets one line
    and the process tries again after a growing pause. The process ends with this one, however that ends.
    """

    def __init__(
        self,
        tracking: Tracking,
        root: Root,
        warn: Callable[[str], None] = _log.warning,
        period_secs: float = PERIOD_SECS,
    ) -> None:
        self._place = f"{title_of(tracking)} at {mask_secrets(tracking.uri)}"
        self._root, self._warn = mask_secrets(str(root)), warn
        self._is_announced = self._is_closed = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "toprung.results.tracking.mirror"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the driver alone
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._send({"tracking": asdict(tracking), "root": str(root), "period_secs": period_secs})
        self._reader = threading.Thread(
            target=self._read_notes, name=f"toprung-{tracking.tracker}", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process that writes."""
        return self._process.pid

    def announce(self, end: SearchEnd) -> None:
        """Tell how the search ended, so that the rest is written while others are closed; the first word counts."""
        if not self._is_announced:
            self._is_announced = True
            self._send(end.as_dict())

    def close(self, end: SearchEnd | None = None, timeout_secs: float = 30.0) -> bool:
        """Have the rest of the tables written and the parent run ended; everything must be in the tables by now.

        Closing twice is no error.

        Args:
            end: How the search ended; FINISHED now, if None.
            timeout_secs: After that it gives up, with a warning; sooner where a server does not answer at all.

        Returns:
            Whether the tracker has everything.
        """
        self.announce(end or SearchEnd.now("FINISHED"))
        if not self._is_closed:
            self._is_closed = True
            self._await_end(timeout_secs)
        return self._process.returncode == 0

    def _await_end(self, timeout_secs: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_secs)
        self._process.kill()
        is_complete = self._process.wait() == 0
        self._reader.join()
        with suppress(OSError):
            self._pipe.close()
        if not is_complete:
            self._warn(
                f"{self._place} lacks part of this search; the tables have all of it, and "
                f"`toprung sync {quote(self._root)}` writes the rest"
            )

    def _send(self, command: Mapping[str, object]) -> None:
        with suppress(OSError):  # the process has died: its exit code says so in the end
            self._pipe.write(json.dumps(command) + "\n")
            self._pipe.flush()

    def _read_notes(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._warn(f"{self._place} {line.rstrip()}")
