"""The rest of a search, played through on a virtual clock from what is known of it at one moment. Pure.

Trials that are to begin are like those that have begun: each takes the pace and the first result of one of them, drawn
at random; one that runs without a report yet, of those that took as long. From rung to rung a score rises as those
before rose, with their spread. A trial passes a rung where it is in the top 1/`reduction_factor` of the results there,
as in successive halving (Li et al. 2020), and on its way to the next rung it is compared once more, since results that
arrived later may be better.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


class Rise(NamedTuple):
    """How scores rise from a rung to the next: to slope * score + intercept, give or take a standard deviation."""

    slope: float
    intercept: float
    deviation: float

    def draw(self, score: float, rng: Random, left: float = 1.0) -> float:
        """A score at the next rung, for a trial that has `score` with this share of the way left."""
        rise = (self.slope - 1.0) * score + self.intercept
        return score + left * rise + math.sqrt(left) * self.deviation * rng.gauss(0.0, 1.0)


@dataclass(frozen=True)
class KnownSearch:
    """A search at one moment.

    Attributes:
        rung_epochs: The last is the full training.
        reduction_factor: One result in so many passes a rung.
        results: The scores at each rung.
        rises: From each rung to the next.
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
    rises: Sequence[Rise]
    work: Sequence[float]
    paces: Sequence[float]
    first_scores: Sequence[float]
    start_secs: float
    running: Sequence[RunningTrial]
    to_begin: int

    def silent_at_most(self, secs: float) -> KnownSearch:
        """The same where no trial has been silent for longer: nothing ran before."""
        running = [trial._replace(silent_secs=min(trial.silent_secs, secs)) for trial in self.running]
        return replace(self, running=running)


class _Way(NamedTuple):
    """A trial's way to a rung: the scores with which it sets out and arrives, and its seconds for a unit of work."""

    rung: int
    start: float
    score: float
    pace: float


class _Event(NamedTuple):
    """A trial arrives at an epoch on its way to a rung."""

    secs: float
    order: int
    epoch: int
    way: _Way


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
            left = (rungs[rung] - trial.epoch) / (rungs[rung] - rungs[rung - 1])
            score = self._known.rises[rung - 1].draw(score, self._rng, left)
        self._head(-trial.silent_secs, trial.epoch, _Way(rung, trial.score, score, trial.pace))

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
        slow = [
            n for n, pace in enumerate(known.paces) if known.start_secs + known.work[1] * pace > silent_secs
        ]
        if slow:
            self._start_like(self._rng.choice(slow), known.start_secs - silent_secs)
        else:
            first = self._rng.choice(known.first_scores)
            self._head(-silent_secs, 0, _Way(0, first, first, 2 * silent_secs / known.work[1]))

    def _start_like(self, like: int, secs: float) -> None:
        first = self._known.first_scores[like]
        self._head(secs, 0, _Way(0, first, first, self._known.paces[like]))

    def _head(self, secs: float, epoch: int, way: _Way) -> None:
        """Travel from an epoch to the next comparison: half of the way to the rung, or the rung."""
        rungs, work = self._known.rung_epochs, self._known.work
        halfway = (rungs[way.rung - 1] + rungs[way.rung]) // 2 if way.rung else 0
        to = halfway if halfway > epoch else rungs[way.rung]
        arrival_secs = max(0.0, secs + (work[to] - work[epoch]) * way.pace)
        self._order += 1
        heapq.heappush(self._events, _Event(arrival_secs, self._order, to, way))

    def _goes_on(self, event: _Event) -> bool:
        known, way = self._known, event.way
        if event.epoch < known.rung_epochs[way.rung]:
            if not self._is_kept(way.rung - 1, (way.start + way.score) / 2):
                return False
            self._head(event.secs, event.epoch, way)
            return True
        insort(self._sorted[way.rung], way.score)
        if way.rung == len(known.rung_epochs) - 1 or not self._is_kept(way.rung, way.score):
            return False
        score = known.rises[way.rung].draw(way.score, self._rng)
        self._head(event.secs, event.epoch, _Way(way.rung + 1, way.score, score, way.pace))
        return True

    def _is_kept(self, rung: int, score: float) -> bool:
        scores = self._sorted[rung]
        better = len(scores) - bisect_right(scores, score)
        few = len(scores) < self._known.reduction_factor
        return few or better < max(1, len(scores) // self._known.reduction_factor)
