"""The rest of a search, played through on a virtual clock from what is known of it at one moment. Pure.

Trials that are to begin are like those that have begun: each takes the pace and the first result of one of them, drawn
at random. From rung to rung a score rises as those before rose, with their spread. A trial passes a rung where it is in
the top 1/`reduction_factor` of the results there, as in successive halving (Li et al. 2020), and on its way to the next
rung it is compared once more, since results that arrived later may be better.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random


class RunningTrial(NamedTuple):
    """A trial that runs.

    Attributes:
        epoch: The last one that it reported; 0 before the first.
        score: At that epoch, higher is better; None before the first.
        pace: Its seconds for each unit of work; None before its first report.
        silent_secs: Seconds since its last report, or since its proposal.
    """

    epoch: int
    score: float | None
    pace: float | None
    silent_secs: float


@dataclass(frozen=True)
class KnownSearch:
    """A search at one moment.

    Attributes:
        rung_epochs: The last is the full training.
        reduction_factor: One result in so many passes a rung.
        results: The scores at each rung.
        rises: By how much scores rise from each rung to the next: mean and standard deviation.
        work: The work of a training up to each epoch, in units of its first; 0 for epoch 0.
        paces: Seconds for each unit of work, of the trials with a result at the first rung.
        first_scores: Their scores there.
        start_secs: Seconds of a trial beside its epochs.
        running: The trials that run.
        to_begin: How many trials are to begin.
    """

    rung_epochs: tuple[int, ...]
    reduction_factor: int
    results: Sequence[Sequence[float]]
    rises: Sequence[tuple[float, float]]
    work: Sequence[float]
    paces: Sequence[float]
    first_scores: Sequence[float]
    start_secs: float
    running: Sequence[RunningTrial]
    to_begin: int


class _Event(NamedTuple):
    """A trial arrives at an epoch on its way to a rung, where it will have a score."""

    secs: float
    order: int
    rung: int
    epoch: int
    score: float
    pace: float


class Play:
    """One play of the rest of a search."""

    def __init__(self, known: KnownSearch, rng: Random) -> None:
        self._known, self._rng = known, rng
        self._sorted = [sorted(scores) for scores in known.results]
        self._events: list[_Event] = []
        self._order = 0
        self._to_begin = known.to_begin

    def secs(self) -> float:
        """Seconds from now until the last trial ends."""
        for trial in self._known.running:
            self._continue(trial)
        if not self._events and self._to_begin:
            self._begin(0.0)
        last_secs = 0.0
        while self._events:
            event = heapq.heappop(self._events)
            last_secs = event.secs
            if not self._goes_on(event) and self._to_begin:
                self._begin(event.secs)
        return last_secs

    def _continue(self, trial: RunningTrial) -> None:
        rungs = self._known.rung_epochs
        if trial.score is None or trial.pace is None:
            self._arrive_first(trial.silent_secs)
            return
        rung = bisect_right(rungs, trial.epoch)
        if rung == len(rungs):
            return
        score = trial.score
        if rung:
            below = rungs[rung - 1]
            left = (rungs[rung] - trial.epoch) / (rungs[rung] - below)
            mean, deviation = self._known.rises[rung - 1]
            score += left * mean + left**0.5 * deviation * self._rng.gauss(0.0, 1.0)
        self._head(-trial.silent_secs, rung, trial.epoch, score, trial.pace)

    def _begin(self, secs: float) -> None:
        self._to_begin -= 1
        self._start(secs + self._known.start_secs)

    def _start(self, secs: float) -> None:
        self._start_like(self._rng.randrange(len(self._known.paces)), secs)

    def _arrive_first(self, silent_secs: float) -> None:
        """Start a trial that has not reported for so long: it is like one of those that were as slow.

        Where none was, its first epoch is as long again as it has lasted.
        """
        known = self._known
        slow = [n for n, pace in enumerate(known.paces) if known.start_secs + known.work[1] * pace > silent_secs]
        if slow:
            self._start_like(self._rng.choice(slow), known.start_secs - silent_secs)
            return
        like = self._rng.randrange(len(known.paces))
        pace = 2 * silent_secs / known.work[1]
        self._head(-silent_secs, 0, 0, known.first_scores[like], pace)

    def _start_like(self, like: int, secs: float) -> None:
        self._head(secs, 0, 0, self._known.first_scores[like], self._known.paces[like])

    def _head(self, secs: float, rung: int, epoch: int, score: float, pace: float) -> None:
        """Travel from an epoch to the next comparison: half of the way to the rung, or the rung."""
        rungs, work = self._known.rung_epochs, self._known.work
        halfway = (rungs[rung - 1] + rungs[rung]) // 2 if rung else 0
        to = halfway if halfway > epoch else rungs[rung]
        arrival_secs = max(0.0, secs + (work[to] - work[epoch]) * pace)
        self._order += 1
        heapq.heappush(self._events, _Event(arrival_secs, self._order, rung, to, score, pace))

    def _goes_on(self, event: _Event) -> bool:
        known, rung = self._known, event.rung
        if event.epoch < known.rung_epochs[rung]:
            if not self._is_kept(rung - 1, event.score - known.rises[rung - 1][0] / 2):
                return False
            self._head(event.secs, rung, event.epoch, event.score, event.pace)
            return True
        insort(self._sorted[rung], event.score)
        if rung == len(known.rung_epochs) - 1 or not self._is_kept(rung, event.score):
            return False
        mean, deviation = known.rises[rung]
        score = event.score + mean + deviation * self._rng.gauss(0.0, 1.0)
        self._head(event.secs, rung + 1, event.epoch, score, event.pace)
        return True

    def _is_kept(self, rung: int, score: float) -> bool:
        scores = self._sorted[rung]
        better = len(scores) - bisect_right(scores, score)
        few = len(scores) < self._known.reduction_factor
        return few or better < max(1, len(scores) // self._known.reduction_factor)
