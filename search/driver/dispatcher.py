"""Gives workers their trials: the driver's end of every worker's connection, many threads before one `SearchLoop`."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

from toprung.cluster.session import ClusterUnreachableError
from toprung.search.driver.proposal_queue import ProposalQueue
from toprung.search.strategy.strategy import Decision
from toprung.trainables.trial.messages import Instruction, Order, WorkerReport
from toprung.trainables.worker.connection import ConnectionLostError
from toprung.trainables.worker.preflight import NodeProblem, NodeUnfitError

if TYPE_CHECKING:
    from toprung.search.driver.search_loop import SearchLoop
    from toprung.trainables.trial.messages import TrialStart
    from toprung.trainables.worker.connection import Connection


# If this many workers died before they connected, and none ever did, the cause is the network and not the trials.
MAX_UNREACHED_WORKERS = 5


# How often a waiting worker's thread looks by itself, for limits that only the clock reaches.
LOOK_EVERY_SECS = 1.0


class Dispatcher:
    """Gives each worker a slot, and each slot one trial after the other.

    A slot is opened with a trial, for a worker that is still to start. A trial whose worker died is continued from its
    checkpoint by the next worker that asks, `max_failures` times. A trial whose worker has not connected yet goes to a
    connected worker that would have to wait, since the cluster may have no room for the other one. At most
    `max_early_proposals` trials are proposed in advance, while all workers train.
    """

    def __init__(self, loop: SearchLoop, max_early_proposals: int = 0, max_failures: int = 0) -> None:
        self._loop, self._max_failures = loop, max_failures
        self._queue = ProposalQueue(loop, max_early_proposals)
        self._trial_of_slot: dict[str, TrialStart | None] = {}
        self._unconnected_slots: set[str] = set()
        self._to_retry: deque[TrialStart] = deque()
        self._worker_deaths: Counter[str] = Counter()
        self._state_changed = threading.Condition()
        self._any_connected = False
        self._unreached_workers = 0
        self._is_closed = False
        self._error: BaseException | None = None

    @property
    def slots(self) -> int:
        """How many slots are open, their workers connected or not."""
        return len(self._trial_of_slot)

    @property
    def finished(self) -> bool:
        """Whether no further worker is needed."""
        return not self._trial_of_slot and not self._to_retry and self._loop.finished

    def raise_error(self) -> None:
        """Raise in the caller's thread what went wrong in a worker's thread, if anything did."""
        if self._error is not None:
            raise self._error

    def open_slot(self, slot: str) -> bool:
        """Open a slot with a trial in it; False when there is no trial now."""
        with self._state_changed:
            start = self._next_start()
            if start is not None:
                self._trial_of_slot[slot] = start
                self._unconnected_slots.add(slot)
            return start is not None

    def close_slot(self, slot: str, died: bool) -> None:
        """The slot's worker is gone; if it `died`, its trial is retried or lost."""
        with self._state_changed:
            start = self._trial_of_slot.pop(slot, None)
            if died:
                self._give_up_if_none_connects()
            if start is not None and died:
                # The death of a worker that never connected does not count against its trial if others did connect.
                never_connected = slot in self._unconnected_slots
                others_connected = not self._trial_of_slot.keys() <= self._unconnected_slots
                self._retry_or_lose(start, counts=not (never_connected and others_connected))
            self._unconnected_slots.discard(slot)
            self._state_changed.notify_all()

    def serve(self, connection: Connection) -> None:
        """Answer one worker until it is told to shut down.

        Raises:
            ConnectionLostError: The worker ended by itself.
        """
        slot: str | NodeProblem = connection.receive()
        if isinstance(slot, NodeProblem):
            self._error = NodeUnfitError(slot.line)
            return self.close()
        self._any_connected = True
        try:
            answer = self._first_answer(slot)
            while True:
                connection.send(answer)
                if answer is Order.SHUTDOWN:
                    return None
                self._propose_early()
                answer = self.report(slot, connection.receive())
        except ConnectionLostError:
            raise
        except BaseException as error:
            self._error = error
            self.close()

    def report(self, slot: str, report: WorkerReport) -> Instruction:
        """Take in a worker's report and answer what to do next; waits where that depends on other workers."""
        with self._state_changed:
            start = self._trial_of_slot.get(slot)
            if self._is_closed or start is None or start.trial_id != report.trial_id:
                return Order.SHUTDOWN
            decision = self._loop.report(report.trial_id, report.result, report.worker)
            if decision is Decision.KEEP:
                return Order.CONTINUE
            self._state_changed.notify_all()
            self._trial_of_slot[slot] = None
            return Order.SHUTDOWN if report.worker.recycled else self._next_answer(slot)

    def close(self) -> None:
        """From now on answer every worker with SHUTDOWN, and report nothing to the loop."""
        with self._state_changed:
            self._is_closed = True
            self._state_changed.notify_all()

    def _first_answer(self, slot: str) -> Instruction:
        with self._state_changed:
            self._unconnected_slots.discard(slot)
            return self._trial_of_slot.get(slot) or Order.SHUTDOWN

    def _next_answer(self, slot: str) -> Instruction:
        start = self._next_start(worker_is_idle=True)
        while start is None and not self._loop.finished:
            start = self._take_from_unconnected_slot()
            if start is None:
                self._state_changed.wait(LOOK_EVERY_SECS)
                if self._is_closed or slot not in self._trial_of_slot:
                    return Order.SHUTDOWN
                start = self._next_start()
        self._trial_of_slot[slot] = start
        return start or Order.SHUTDOWN

    def _next_start(self, worker_is_idle: bool = False) -> TrialStart | None:
        return self._to_retry.popleft() if self._to_retry else self._queue.take(worker_is_idle)

    def _take_from_unconnected_slot(self) -> TrialStart | None:
        """The trial of a slot whose worker has not connected; if it ever does it is told to shut down."""
        for slot, start in self._trial_of_slot.items():
            if slot in self._unconnected_slots and start is not None:
                self._trial_of_slot[slot] = None
                return start
        return None

    def _propose_early(self) -> None:
        """Fill the queue, unless another worker is being answered: a proposal takes longer than a report."""
        if self._state_changed.acquire(blocking=False):
            try:
                if not self._is_closed:
                    self._queue.fill()
            finally:
                self._state_changed.release()

    def _give_up_if_none_connects(self) -> None:
        if self._any_connected:
            return
        self._unreached_workers += 1
        if self._unreached_workers == MAX_UNREACHED_WORKERS:
            self._error = ClusterUnreachableError(
                f"the first {MAX_UNREACHED_WORKERS} workers ended before they reached this process; Ray's logs hold "
                "their last output. Nodes must let workers through to the driver: TOPRUNG_PORT sets the port it "
                "listens at"
            )

    def _retry_or_lose(self, start: TrialStart, counts: bool) -> None:
        self._worker_deaths[start.trial_id] += counts
        if self._worker_deaths[start.trial_id] <= self._max_failures:
            self._to_retry.append(start)
        else:
            self._loop.lose(
                start.trial_id, "the worker process ended without a result; Ray's logs hold its last output"
            )
