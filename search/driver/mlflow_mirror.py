"""Has MLflow follow the tables of a running search."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.tracker import Tracker
from toprung.search.runs.tracked_search import search_description

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.results.tracking.mlflow_runs import Tracking
    from toprung.search.driver.open_run import OpenRun

_log = logging.getLogger("toprung")
TRACKER_TIMEOUT_SECS = 5.0  # for MLflow, once the search has been interrupted


@contextmanager
def mirrored_to_mlflow(run: OpenRun) -> Iterator[None]:
    """Have MLflow follow the tables for the block, if the job wants it; `recorded_end` within it says how it ended."""
    job = run.job
    if not job.tracking.enabled:
        yield
        return
    tracker = Tracker(_tracking(run), run.folder.root, warn=_log.warning)
    try:
        yield
    except BaseException:
        tracker.close(_end(run), timeout_secs=TRACKER_TIMEOUT_SECS)
        raise
    tracker.close(_end(run))


def _tracking(run: OpenRun) -> Tracking:
    """Where MLflow writes, the ranges of the space among what it is told."""
    tracking = run.folder.tracking(run.job)
    search = search_description(run.job, run.prepared.space)
    return replace(tracking, search=search)


def _end(run: OpenRun) -> SearchEnd:
    return SearchEnd.read(run.folder.root) or SearchEnd.now("KILLED")
