"""How far a running search is: trials, the best value, the rate of epochs and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from toprung.search.workers.presence import WorkerPresence
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.search.loop.search_loop import SearchLoop
    from toprung.search.loop.trial_state import Leader

WINDOW_SECS, WINDOW_EPOCHS = 30.0, 10
UNITS = ((1.0, "a second"), (60.0, "a minute"), (3600.0, "an hour"))


@dataclass(frozen=True)
class ProgressSnapshot:
    """A running search at one moment.

    `remaining_secs` is None where it is not known; `preemptions` is how often a node died under a trial;
    `reached_limit` says why no further trial begins.
    """

    running: int
    completed: int
    stopped: int
    failed: int
    trials: int
    epochs: int
    epochs_per_sec: float
    best: Leader | None
    elapsed_secs: float
    remaining_secs: float | None
    preemptions: int = 0
    reached_limit: str | None = None
    workers: WorkerPresence = field(default_factory=WorkerPresence)

    @property
    def ended(self) -> int:
        """Trials that have ended."""
        return self.completed + self.stopped + self.failed

    def line(self) -> str:
        """The snapshot as one plain line."""
        counts = f"{self.running} running, {self.completed} completed, {self.stopped} stopped"
        failed = f", {self.failed} failed" if self.failed else ""
        best = (
            f"best {self.best.value:.4f} ({self.best.trial_id}, epoch {self.best.epoch})"
            if self.best
            else "no result yet"
        )
        preempted = f", {preemptions_in_words(self.preemptions)}" if self.preemptions else ""
        missing = "" if self.workers.all_here else f"; workers: {self.workers}"
        tried = (
            f"{self.ended} trials" if self.trials >= AS_MANY_AS_FIT else f"{self.ended}/{self.trials} trials"
        )
        trials = f"{tried}, {counts}{failed}{preempted}{missing}"
        epochs = f"{self.epochs} epochs{self.rate}"
        return f"{duration(self.elapsed_secs)}: {trials}; {best}; {epochs}{self.outlook}"

    @property
    def rate(self) -> str:
        """The rate of epochs, with a comma before it; empty before the first."""
        return f", {per_time(self.epochs_per_sec)}" if self.epochs_per_sec else ""

    @property
    def outlook(self) -> str:
        """The time that is left, or what ends the search, with a comma before it; empty where neither is known."""
        if self.reached_limit:
            return f", ending: {self.reached_limit}"
        return f", about {duration(self.remaining_secs)} left" if self.remaining_secs is not None else ""


class SearchProgress:
    """Observes a `SearchLoop` and its workers from now on.

    Args:
        loop: The search.
        trials: How many the whole search may try.
        remaining_secs: Until the last of them has ended; None where that is not known.
        clock: Monotonic seconds.
        workers: Which there are.
    """

    def __init__(
        self,
        loop: SearchLoop,
        trials: int,
        remaining_secs: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
        workers: WorkerPresence | None = None,
    ) -> None:
        self._loop, self._trials, self._clock = loop, trials, clock
        self._trials_remaining_secs = remaining_secs
        self._workers = workers or WorkerPresence()
        self._started_secs = clock()
        self._usage_at_start = loop.usage
        self._epoch_rate = EpochRate(self._started_secs, loop.usage.epochs)
        self._notes_seen = 0

    def snapshot(self) -> ProgressSnapshot:
        """The search now."""
        loop, now_secs = self._loop, self._clock()
        epochs = loop.usage.epochs
        completed, stopped = loop.outcomes[Outcome.COMPLETED], loop.outcomes[Outcome.STOPPED]
        ended = sum(loop.outcomes.values())
        return ProgressSnapshot(
            running=loop.running,
            completed=completed,
            stopped=stopped,
            failed=ended - completed - stopped,
            trials=self._trials,
            epochs=epochs,
            epochs_per_sec=self._epoch_rate.epochs_per_sec(now_secs, epochs),
            best=loop.leader,
            elapsed_secs=now_secs - self._started_secs,
            remaining_secs=self._remaining_secs(),
            preemptions=loop.preemptions,
            reached_limit=loop.reached_limit,
            workers=replace(self._workers),
        )

    def new_notes(self) -> list[str]:
        """What the strategy found out about the search since the last call."""
        notes = self._loop.notes()[self._notes_seen :]
        self._notes_seen += len(notes)
        return notes

    def _remaining_secs(self) -> float | None:
        by_trials = self._trials_remaining_secs()
        by_budget = self._loop.limits.secs_left(self._usage_at_start, self._loop.usage)
        known = [secs for secs in (by_trials, by_budget) if secs is not None]
        return min(known, default=None)


class EpochRate:
    """Recent epochs a second: of the last 30 seconds, or of as long as it takes to see ten epochs."""

    def __init__(self, now_secs: float, epochs: int) -> None:
        self._seen = deque([(now_secs, epochs)])

    def epochs_per_sec(self, now_secs: float, epochs: int) -> float:
        """The rate at a time and count of epochs, neither less than at the last call; 0.0 before the first epoch."""
        if epochs > self._seen[-1][1]:
            self._seen.append((now_secs, epochs))
        while len(self._seen) > 1 and _is_enough(now_secs - self._seen[1][0], epochs - self._seen[1][1]):
            self._seen.popleft()
        since_secs, before = self._seen[0]
        return (epochs - before) / (now_secs - since_secs) if now_secs > since_secs else 0.0


def _is_enough(secs: float, epochs: int) -> bool:
    return secs >= WINDOW_SECS and epochs >= WINDOW_EPOCHS


def preemptions_in_words(count: int) -> str:
    """How often a node died under a trial: 1 preemption, 2 preemptions."""
    return f"{count} preemption{'' if count == 1 else 's'}"


def per_time(per_sec: float) -> str:
    """A rate by the shortest unit of time in which there is at least one: 2.3 a second, 4.0 a minute, 1.5 an hour."""
    secs, name = next((unit for unit in UNITS if per_sec * unit[0] >= 1.0), UNITS[-1])
    return f"{per_sec * secs:.1f} {name}"


def duration(secs: float) -> str:
    """Seconds in words: 42 s, 3 min 5 s, 2 h 10 min."""
    rounded = round(secs)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60} min"
