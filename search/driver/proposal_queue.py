"""Proposals made while all workers train, so that a worker that becomes free has its next trial at once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toprung.search.driver.search_loop import SearchLoop
    from toprung.trainables.trial.messages import TrialStart


class ProposalQueue:
    """The trials to start next, in the order they were proposed, at most `most` of them made ahead.

    One is made ahead at first, and one more each time a worker found none: a proposal knows less the earlier it is
    made. With `most` 0 every trial is proposed from all that is known when it starts.
    """

    def __init__(self, loop: SearchLoop, most: int) -> None:
        self._loop, self._most = loop, most
        self._wanted = min(1, most)
        self._made: deque[TrialStart] = deque()

    def take(self, is_awaited: bool = False) -> TrialStart | None:
        """The next trial, None when there is none now; `is_awaited`: a warm worker stands idle until it has it.

        Where a limit was reached since, what was made ahead is not started.
        """
        if self._loop.finished:
            return None
        if self._made:
            self._loop.begin(self._made[0])
            return self._made.popleft()
        if is_awaited:
            self._wanted = min(self._wanted + 1, self._most)
        return self._loop.next_trial()

    def prepare(self) -> None:
        """Do what the next proposal begins with, and propose one more if it is time."""
        self._loop.prepare()
        if len(self._made) < self._wanted and (start := self._loop.propose()) is not None:
            self._made.append(start)
