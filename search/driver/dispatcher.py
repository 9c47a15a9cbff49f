"""The driver's dispatcher, where workers report and hear what to do next: one `SearchLoop` for many threads."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

from toprung.cluster.session import ClusterUnreachableError
from toprung.search.driver.proposal_queue import ProposalQueue
from toprung.search.strategy.strategy import Decision
from toprung.trainables.trial.messages import Answer, Order, WorkerReport
from toprung.trainables.worker.connection import ConnectionLostError

if TYPE_CHECKING:
    from toprung.search.driver.search_loop import SearchLoop
    from toprung.trainables.trial.messages import TrialStart
    from toprung.trainables.worker.connection import Connection


# So many workers that die before they come, and none that came: it is not the trials.
NO_SHOWS = 5


# How often a worker that waits for others to end looks by itself, for limits that only the clock reaches.
LOOK_EVERY_SECS = 1.0


class Dispatcher:
    """Gives each worker a slot and each slot its trials, one after the other.

    A trial whose worker died is taken up by the next worker that comes, from its checkpoint, `max_failures` times. One
    whose worker has not come yet goes to a worker that would have to wait: there may be no room for another. At most
    `most_ahead` trials are proposed ahead, while all workers train.
    """

    def __init__(self, loop: SearchLoop, most_ahead: int = 0, max_failures: int = 0) -> None:
        self._loop, self._max_failures = loop, max_failures
        self._ahead = ProposalQueue(loop, most_ahead)
        self._held: dict[str, TrialStart | None] = {}
        self._expected: set[str] = set()
        self._again: deque[TrialStart] = deque()
        self._deaths: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._no_shows: int | None = 0
        self._closed = False
        self._error: BaseException | None = None

    @property
    def slots(self) -> int:
        """How many workers have a slot, whether they have come already or not."""
        return len(self._held)

    @property
    def finished(self) -> bool:
        """Whether no further worker is needed."""
        return not self._held and not self._again and self._loop.finished

    def check(self) -> None:
        """Raise what went wrong at the dispatcher, in the thread of whoever asks."""
        if self._error is not None:
            raise self._error

    def open(self, slot: str) -> bool:
        """Reserve a slot, and a trial for it; false when there is no trial now."""
        with self._changed:
            start = self._take()
            if start is not None:
                self._held[slot] = start
                self._expected.add(slot)
            return start is not None

    def leave(self, slot: str, died: bool) -> None:
        """A worker is gone; what it held is retried or lost when it `died`."""
        with self._changed:
            start = self._held.pop(slot, None)
            if died:
                self._count_no_show()
            if start is not None and died:
                # A worker that never came says nothing against its trial, as long as there are some that did.
                is_blamed = slot not in self._expected or self._held.keys() <= self._expected
                self._retry_or_lose(start, is_blamed)
            self._expected.discard(slot)
            self._changed.notify_all()

    def serve(self, line: Connection) -> None:
        """Attend to one worker until it is told to go home. Raises LineBrokenError when it goes by itself."""
        slot: str = line.receive()
        self._no_shows = None
        try:
            answer = self._first(slot)
            while True:
                line.send(answer)
                if answer is Order.SHUTDOWN:
                    return
                self._prepare()
                answer = self.report(slot, line.receive())
        except ConnectionLostError:
            raise
        except BaseException as error:
            self._error = error
            self.close()

    def report(self, slot: str, told: WorkerReport) -> Answer:
        """Take a worker's result and tell it what to do; waits where that depends on the others."""
        with self._changed:
            start = self._held.get(slot)
            if self._closed or start is None or start.trial_id != told.trial_id:
                return Order.SHUTDOWN
            decision = self._loop.report(told.trial_id, told.result, told.worker)
            if decision is Decision.KEEP:
                return Order.CONTINUE
            self._changed.notify_all()
            self._held[slot] = None
            return Order.SHUTDOWN if told.worker.outgrown else self._next(slot)

    def close(self) -> None:
        """From now on nobody is told anything but to go home, and the loop is left alone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _first(self, slot: str) -> Answer:
        with self._changed:
            self._expected.discard(slot)
            return self._held.get(slot) or Order.SHUTDOWN

    def _next(self, slot: str) -> Answer:
        start = self._take(is_awaited=True)
        while start is None and not self._loop.finished:
            start = self._unclaimed()
            if start is None:
                self._changed.wait(LOOK_EVERY_SECS)
                if self._closed or slot not in self._held:
                    return Order.SHUTDOWN
                start = self._take()
        self._held[slot] = start
        return start or Order.SHUTDOWN

    def _take(self, is_awaited: bool = False) -> TrialStart | None:
        return self._again.popleft() if self._again else self._ahead.take(is_awaited)

    def _unclaimed(self) -> TrialStart | None:
        """The trial of a slot whose worker has not come, and then finds nothing to do if it ever does."""
        for slot, start in self._held.items():
            if slot in self._expected and start is not None:
                self._held[slot] = None
                return start
        return None

    def _prepare(self) -> None:
        """Propose ahead, unless another worker is at the dispatcher: a proposal takes longer than a report."""
        if self._changed.acquire(blocking=False):
            try:
                if not self._closed:
                    self._ahead.prepare()
            finally:
                self._changed.release()

    def _count_no_show(self) -> None:
        """Give up where no worker has ever come."""
        if self._no_shows is not None:
            self._no_shows += 1
            if self._no_shows == NO_SHOWS:
                self._error = ClusterUnreachableError(
                    f"the first {NO_SHOWS} workers ended before they reached this process; Ray's logs hold their last "
                    "words. Nodes must let workers through to the driver: TOPRUNG_PORT sets the port it listens at"
                )

    def _retry_or_lose(self, start: TrialStart, is_blamed: bool) -> None:
        self._deaths[start.trial_id] += is_blamed
        if self._deaths[start.trial_id] <= self._max_failures:
            self._again.append(start)
        else:
            self._loop.lost(
                start.trial_id, "the worker process ended without a result; Ray's logs hold its last words"
            )
