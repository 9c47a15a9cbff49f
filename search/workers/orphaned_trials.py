"""Trials whose workers died: they go on from their checkpoints before anything new is proposed."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from toprung.search.workers.slots import WorkerEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.search.loop.search_loop import SearchLoop
    from toprung.trainables.trial.messages import TrialStart

LOST = "the worker process ended without a result; Ray's logs hold its last output"


class OrphanedTrials:
    """The trials that wait for another worker, in the order in which theirs died.

    A worker's own death counts against the trial, which may have caused it, and ends it after `max_failures` restarts;
    the death of a node does not.
    """

    def __init__(self, loop: SearchLoop, max_failures: int, clock: Callable[[], float]) -> None:
        self._loop, self._max_failures, self._clock = loop, max_failures, clock
        self._waiting: deque[tuple[TrialStart, float]] = deque()
        self._deaths: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, start: TrialStart, end: WorkerEnd) -> str:
        """Take in a trial whose worker ended; it may be lost. Returns what becomes of it, as a phrase."""
        if end is WorkerEnd.NODE_DIED:
            self._loop.preempt(start.trial_id)
        else:
            self._deaths[start.trial_id] += 1
        if self._deaths[start.trial_id] > self._max_failures:
            self._loop.lose(start.trial_id, LOST)
            return f"{start.trial_id} is given up after {self._max_failures} restarts"
        self._waiting.append((start, self._clock()))
        return f"{start.trial_id} goes on from its checkpoint"

    def take(self) -> TrialStart | None:
        """The trial that has waited longest, for a worker that begins it now."""
        if not self._waiting:
            return None
        start, since_secs = self._waiting.popleft()
        self._loop.wait(start.trial_id, self._clock() - since_secs)
        return start
