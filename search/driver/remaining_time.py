"""How long a running search still takes, estimated from its tables now and then and counted down in between."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from toprung.results.analysis.time_and_cost.eta import SearchPlan, remaining_secs
from toprung.results.tables.parts import read_tables
from toprung.search.strategy.early_stopping.rung import rung_epochs
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.search.jobs.schema import Job

EVERY_SECS = 4.0
MAX_SHARE = 0.03  # of a core; an estimate for thousands of trials takes a second


class RemainingTime:
    """The seconds that are left.

    Args:
        estimate: Gives them anew; None where they are not known.
        clock: Monotonic seconds.
        core_clock: Seconds of a core that the thread has taken.
    """

    def __init__(
        self,
        estimate: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
        core_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._estimate, self._clock, self._core_clock = estimate, clock, core_clock
        self._secs: float | None = None
        self._estimated_at_secs, self._due_secs = 0.0, clock()

    def secs(self) -> float | None:
        """The seconds that are left now; None where they are not known."""
        now_secs = self._clock()
        if now_secs >= self._due_secs:
            before_secs = self._core_clock()
            self._secs, self._estimated_at_secs = self._estimate(), now_secs
            took_secs = self._core_clock() - before_secs
            self._due_secs = now_secs + max(EVERY_SECS, took_secs / MAX_SHARE)
        return None if self._secs is None else max(0.0, self._secs - (now_secs - self._estimated_at_secs))


def search_plan(job: Job) -> SearchPlan:
    """What the search of a job means to do."""
    search = job.search
    rungs = rung_epochs(search.max_epochs, search.reduction_factor, search.min_epochs)
    return SearchPlan(search.trials, rungs, search.reduction_factor, search.optimized.main)


def remaining_time(root: str, job: Job) -> RemainingTime:
    """The time that the search which begins to write the run `root` now still takes."""
    plan, active_since = search_plan(job), datetime.now(UTC)

    def estimate() -> float | None:
        with suppress(
            OSError, InputError
        ):  # storage that does not answer now, or a part that somebody damaged
            return remaining_secs(*read_tables(root), plan, datetime.now(UTC), active_since)
        return None

    return RemainingTime(estimate)
