"""Puts off what an observer does until the worker that waits has its answer."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.search.loop.search_loop import Observer
    from toprung.search.loop.trial_state import ActiveTrial, TrialEnd
    from toprung.search.strategy.strategy import Decision
    from toprung.trainables.trial.messages import TrialStart
    from toprung.trainables.trial.report import EpochReport


class DeferredObserver:
    """An observer that keeps the facts of a search in their order, and passes them on when it is told to.

    Writing rows and deleting a checkpoint takes half a millisecond of a trial, for which no worker has to wait.

    Args:
        observer: Receives the facts. After one that it fails at it receives none: what follows would stand beside a
            gap, and what is not recorded is found out again when the search goes on.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._facts: deque[Callable[[], None]] = deque()
        self._is_broken = False

    def proposed(self, start: TrialStart, reason: str) -> None:
        """A proposed trial starts."""
        self._facts.append(partial(self._observer.proposed, start, reason))

    def reported(self, trial: ActiveTrial, report: EpochReport, decision: Decision) -> None:
        """An epoch of a trial was measured."""
        self._facts.append(partial(self._observer.reported, trial, report, decision))

    def ended(self, trial: ActiveTrial, end: TrialEnd) -> None:
        """A trial has ended."""
        self._facts.append(partial(self._observer.ended, trial, end))

    def catch_up(self) -> None:
        """Pass on what was kept."""
        while self._facts and not self._is_broken:
            self._is_broken = True  # unless this one gets through, which an interrupt may prevent as well
            self._facts.popleft()()
            self._is_broken = False
        if not self._is_broken:
            self._observer.catch_up()
