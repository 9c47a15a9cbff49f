"""Has MLflow, and what else the job names, follow the tables of a running search."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.tracker import Tracker
from toprung.search.runs.tracked_search import search_description

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.search.driver.open_run import OpenRun

_log = logging.getLogger("toprung")
ENDED_TIMEOUT_SECS = 30.0
INTERRUPTED_TIMEOUT_SECS = 5.0


@contextmanager
def followed_by_trackers(run: OpenRun) -> Iterator[None]:
    """Have the job's trackers follow the tables for the block; `recorded_end` within it says how it ended."""
    description = search_description(run.job, run.prepared.space)  # the ranges of the space included
    settings = run.folder.trackings(run.job, description)
    trackers = [Tracker(one, run.folder.root, warn=_log.warning) for one in settings]
    try:
        yield
    except BaseException:
        _close(trackers, _end(run), INTERRUPTED_TIMEOUT_SECS)
        raise
    _close(trackers, _end(run), ENDED_TIMEOUT_SECS)


def _close(trackers: Sequence[Tracker], end: SearchEnd, timeout_secs: float) -> None:
    """All of them write what is left at the same time."""
    for tracker in trackers:
        tracker.announce(end)
    until_secs = time.monotonic() + timeout_secs
    for tracker in trackers:
        tracker.close(end, timeout_secs=max(0.0, until_secs - time.monotonic()))


def _end(run: OpenRun) -> SearchEnd:
    return SearchEnd.read(run.folder.root) or SearchEnd.now("KILLED")
