"""How many workers a search may keep while others wait for room on the same cluster.

Ray places first who asked first and takes nothing back: a search whose workers train trial after trial would hold its
nodes to its end. So each driver looks at the table of placement groups that Ray keeps for all of them, and lets
workers go at the ends of their trials. Nobody has to coordinate them, and a driver that dies leaves nothing behind.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from toprung.cluster.placements import JobPlacement, placements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = logging.getLogger("toprung")
LOOK_EVERY_SECS = 3.0

PATIENCE_SECS = 15.0
"""For how long another search has to wait before workers are let go: nodes may be joining for it."""

TURN_SECS = 300.0
"""How long a search may go on alone where there is less than one worker's room for each search."""

HELD_FREE_SECS = 60.0
"""For how long the room of workers that were let go is left to who waits for it; whom it does not help is passed over
for TURN_SECS."""


class FairShare:
    """The workers that one search may keep: all, or its share of those placed while another has less than that."""

    def __init__(
        self,
        job: str,
        has_gpus: bool,
        look: Callable[[], Mapping[str, JobPlacement]] = placements,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to look.

        Args:
            job: The number of this search's Ray job; empty where no other can share its cluster.
            has_gpus: Whether its workers hold GPUs, or shares of them.
            look: Gives the workers of all jobs.
            clock: Gives seconds, from any origin.
        """
        self._job, self._has_gpus, self._look, self._clock = job, has_gpus, look, clock
        self._look_at_secs = -math.inf
        self._table: Mapping[str, JobPlacement] = {}
        self._limit = math.inf
        self._total = 0
        self._starved_since_secs: float | None = None
        self._within_since_secs: float | None = None
        self._passed_over_until_secs = -math.inf

    @property
    def placed(self) -> int | None:
        """How many workers of this search have a place on a node; None where no other can share its cluster."""
        self._update()
        return self._own.placed if self._job else None

    @property
    def limit(self) -> float:
        """How many workers this search may have, infinite while no other waits for its share."""
        self._update()
        return self._limit

    @property
    def _own(self) -> JobPlacement:
        return self._table.get(self._job, JobPlacement())

    def _update(self) -> None:
        now_secs = self._clock()
        if self._job and now_secs >= self._look_at_secs:
            self._look_at_secs = now_secs + LOOK_EVERY_SECS
            self._table = self._look()
            before, self._limit = self._limit, self._limit_at(now_secs)
            if self._limit < before:
                _log.info(f"another search waits for room: {self._limit:g} workers of this one go on")

    def _limit_at(self, now_secs: float) -> float:
        demands = {job: self._demand(job, placement) for job, placement in self._table.items()}
        placed = {job: placement.placed for job, placement in self._table.items()}
        # What was let go and not yet taken still counts.
        self._total = max(self._total, sum(placed.values()))
        level = fair_level(list(demands.values()), self._total)
        starved = [job for job, demand in demands.items() if placed[job] < min(demand, max(level, 1))]
        has_nothing = not self._own.placed and math.isinf(self._limit)
        if has_nothing or not set(starved) - {self._job} or now_secs < self._passed_over_until_secs:
            self._total, self._starved_since_secs, self._within_since_secs = 0, None, None
            return math.inf
        if self._starved_since_secs is None:
            self._starved_since_secs = now_secs
        if now_secs - self._starved_since_secs < (PATIENCE_SECS if level else TURN_SECS):
            return math.inf
        # What is left over goes to those that have it already, the oldest first.
        larger = sorted((-placed[job], job) for job, demand in demands.items() if demand > level)
        left_over = self._total - sum(min(demand, level) for demand in demands.values())
        keeps_one_more = level > 0 and (-self._own.placed, self._job) in larger[:left_over]
        limit = level + keeps_one_more
        return limit if self._helps(limit, now_secs) else math.inf

    def _demand(self, job: str, placement: JobPlacement) -> int:
        """How many workers a job has and waits for, of those that the room of this search's workers could hold."""
        usable = sum(self._has_gpus or not needed.get("GPU") for needed in placement.waiting)
        return placement.placed + (len(placement.waiting) if job == self._job else usable)

    def _helps(self, limit: int, now_secs: float) -> bool:
        """Whether who waits may still be placed by what was let go."""
        if self._own.placed > limit:
            self._within_since_secs = None
        elif self._within_since_secs is None:
            self._within_since_secs = now_secs
        elif now_secs - self._within_since_secs > HELD_FREE_SECS:
            self._passed_over_until_secs = now_secs + TURN_SECS
            return False
        return True


def fair_level(demands: Sequence[int], room: int) -> int:
    """The largest number of workers that each of several searches can have that wants as many, in room for `room`."""
    level = 0
    while level < max(demands, default=0) and sum(min(demand, level + 1) for demand in demands) <= room:
        level += 1
    return level
