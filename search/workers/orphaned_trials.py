"""Trials whose workers died: they go on from their checkpoints before anything new is proposed."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from toprung.search.workers.slots import WorkerEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from toprung.search.loop.search_loop import SearchLoop
    from toprung.trainables.trial.messages import TrialStart

SETTLE_SECS = 90.0  # Ray may take a minute to find out that a node is dead
LOST = "the worker process ended without a result; Ray's logs hold its last output"


class OrphanedTrials:
    """The trials that wait for another worker, in the order in which theirs died.

    A worker's own death counts against the trial, which may have caused it, and ends it after `max_failures` restarts;
    the death of a node does not. Of a worker that cannot be reached any more it is known only later which of both it
    was: when its node counts as dead, or is still alive after SETTLE_SECS.
    """

    def __init__(self, loop: SearchLoop, max_failures: int, clock: Callable[[], float]) -> None:
        self._loop, self._max_failures, self._clock = loop, max_failures, clock
        self._waiting: deque[tuple[TrialStart, float]] = deque()
        self._deaths: Counter[str] = Counter()
        self._unsettled: list[tuple[str, str, float]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, start: TrialStart, end: WorkerEnd, node: str) -> str:
        """Take in a trial whose worker ended on a node; it may be lost. Returns what becomes of it, as a phrase."""
        if end is WorkerEnd.NODE_DIED:
            self._loop.preempt(start.trial_id)
        elif end is WorkerEnd.UNREACHABLE:
            self._unsettled.append((start.trial_id, node, self._clock() + SETTLE_SECS))
        else:
            self._deaths[start.trial_id] += 1
        if self._deaths[start.trial_id] > self._max_failures:
            self._loop.lose(start.trial_id, LOST)
            return f"{start.trial_id} is given up after {self._max_failures} restarts"
        self._waiting.append((start, self._clock()))
        return f"{start.trial_id} goes on from its checkpoint"

    def settle(self, alive_nodes: Collection[str]) -> None:
        """Decide on the workers that could not be reached, by the names of the nodes that are alive now."""
        unsettled, self._unsettled = self._unsettled, []
        for trial_id, node, decide_at_secs in unsettled:
            if node and node not in alive_nodes:
                self._loop.preempt(trial_id)
            elif self._clock() >= decide_at_secs:
                self._deaths[trial_id] += 1
            else:
                self._unsettled.append((trial_id, node, decide_at_secs))

    @property
    def unsettled(self) -> bool:
        """Whether there is anything to settle."""
        return bool(self._unsettled)

    def take(self) -> TrialStart | None:
        """The trial that has waited longest, for a worker that begins it now."""
        if not self._waiting:
            return None
        start, since_secs = self._waiting.popleft()
        self._loop.wait(start.trial_id, self._clock() - since_secs)
        return start
