"""Proposals made while all workers train, so that a worker that becomes free has its next trial at once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toprung.search.loop.search_loop import SearchLoop
    from toprung.trainables.trial.messages import TrialStart


class ProposalQueue:
    """The trials to start next, in the order in which they were proposed, at most `max_size` of them in advance.

    It begins with one in advance, and adds one more each time an idle worker found none: the earlier a proposal is
    made, the fewer results it knows. With a `max_size` of 0 every trial is proposed when it starts.
    """

    def __init__(self, loop: SearchLoop, max_size: int) -> None:
        self._loop, self._max_size = loop, max_size
        self._target_size = min(1, max_size)
        self._proposed: deque[TrialStart] = deque()

    def take(self, worker_is_idle: bool = False) -> TrialStart | None:
        """The next trial, or None when there is none now; `worker_is_idle`: a warm worker waits for it.

        Once the search is finished, what was proposed in advance is not started.
        """
        if self._loop.finished:
            return None
        if self._proposed:
            start = self._loop.begin(self._proposed[0])
            self._proposed.popleft()
            return start
        if worker_is_idle:
            self._target_size = min(self._target_size + 1, self._max_size)
        return self._loop.next_trial()

    @property
    def startable(self) -> float:
        """How many trials may start from now on, those proposed in advance included; infinite without a limit."""
        return 0 if self._loop.finished else len(self._proposed) + self._loop.startable

    def ensure_one(self) -> None:
        """Propose a trial in advance if none is; it starts with the first worker."""
        if not self._proposed and not self._loop.continues:
            self._propose()

    def fill(self) -> None:
        """Do what the next proposal begins with, and propose one more if there are too few."""
        self._loop.prepare()
        if len(self._proposed) < self._target_size and not self._loop.continues:
            self._propose()

    def _propose(self) -> None:
        start = self._loop.propose()
        if start is not None:
            self._proposed.append(start)
