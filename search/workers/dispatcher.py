"""Gives workers their trials: the driver's end of every worker's connection, many threads before one `SearchLoop`."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.cluster.session import ClusterUnreachableError
from toprung.search.loop.proposal_queue import ProposalQueue
from toprung.search.strategy.strategy import Decision
from toprung.search.workers.orphaned_trials import OrphanedTrials
from toprung.search.workers.slots import WorkerEnd, WorkerSlot, WorkerSlots
from toprung.trainables.trial.messages import (
    EpochResult,
    Instruction,
    Order,
    TrainingBegins,
    TrialStart,
    Worker,
    WorkerReady,
    WorkerReport,
)
from toprung.trainables.trial.report import Outcome
from toprung.trainables.worker.connection import ConnectionLostError
from toprung.trainables.worker.preflight import NodeProblem, NodeUnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toprung.search.loop.search_loop import SearchLoop
    from toprung.trainables.worker.connection import Connection

_log = logging.getLogger("toprung")

# If this many workers died before they connected, and none ever did, the cause is the network and not the trials.
MAX_UNREACHED_WORKERS = 5

LOOK_EVERY_SECS = 1.0  # how often a waiting worker's thread looks for limits that only the clock reaches

# A node on which no worker can start is tried again after twice as long each time, at most this.
MAX_RETRY_SECS = 60.0


@dataclass(frozen=True)
class DispatchRules:
    """What a dispatcher keeps to.

    Attributes:
        max_early_proposals: Trials proposed in advance while all workers train; 0 proposes each when it starts.
        max_failures: Restarts of a trial whose worker died.
        silence_limit_secs: A worker that trains and sends no word for longer is killed, its trial ended as TIMEOUT.
    """

    max_early_proposals: int = 0
    max_failures: int = 0
    silence_limit_secs: float = math.inf


class Dispatcher:
    """Gives each worker one trial after the other.

    A slot is opened for a worker that is still to start. It gets a trial when its worker connects, and no sooner, so
    that no trial waits for a worker that has no node: first a trial whose worker died, from its checkpoint, then a
    proposal. A worker for which there can be no trial any more is told to shut down at once.
    """

    def __init__(
        self,
        loop: SearchLoop,
        rules: DispatchRules | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop, self._rules, self._clock = loop, rules or DispatchRules(), clock
        self._queue = ProposalQueue(loop, self._rules.max_early_proposals)
        self._orphans = OrphanedTrials(loop, self._rules.max_failures, clock)
        self._slots = WorkerSlots()
        self._state_changed = threading.Condition()
        self._any_connected = False
        self._unreached_workers = 0
        self._retry_at_secs = -math.inf
        self._limit = math.inf
        self._is_closed = False
        self._error: BaseException | None = None

    @property
    def slots(self) -> int:
        """How many slots are open, their workers connected or not."""
        return len(self._slots)

    @property
    def connected(self) -> int:
        """How many workers are connected and have not been told to shut down."""
        with self._state_changed:
            return self._slots.connected

    @property
    def finished(self) -> bool:
        """Whether no further worker is needed."""
        return not self._slots and not self._orphans and self._loop.finished

    def limit_workers(self, limit: float) -> None:
        """Keep at most so many workers from now on: others leave at the ends of their trials."""
        with self._state_changed:
            if limit != self._limit:
                self._limit = limit
                self._state_changed.notify_all()

    def raise_error(self) -> None:
        """Raise in the caller's thread what went wrong in another, if anything did."""
        if self._error is not None:
            raise self._error

    def fail(self, error: BaseException) -> None:
        """End the search with an error: workers are told to shut down, and `raise_error` raises it."""
        self._error = self._error or error
        self.close()

    def open_slot(self, slot: str) -> bool:
        """Open a slot; False when there is no trial for another worker, or none may be tried yet."""
        with self._state_changed:
            if self._is_closed or self._clock() < self._retry_at_secs:
                return False
            if not self._slots.training and not self._orphans:
                # Nothing can be learned before a worker connects: this shows whether there is anything to propose.
                self._queue.ensure_one()
            if self._slots.free >= self._needed or self._slots.staying >= self._limit:
                return False
            self._slots[slot] = WorkerSlot()
            return True

    def surplus(self, waiting: Sequence[str]) -> list[str]:
        """Those of the slots `waiting` for a node that are not needed any more: there will be no trial for them."""
        with self._state_changed:
            beyond = max(self._slots.free - self._needed, self._slots.staying - self._limit)
            unneeded = len(waiting) if self._is_closed else beyond
            return list(waiting)[len(waiting) - int(max(0, min(len(waiting), unneeded))) :]

    def overdue(self) -> list[str]:
        """The slots whose workers have been silent for too long and are to be killed; their trials end as TIMEOUT."""
        with self._state_changed:
            latest = self._clock() - self._rules.silence_limit_secs
            late = [name for name, slot in self._slots.items() if slot.silent_since_secs < latest]
            for name in late:
                self._end_silent(self._slots[name])
            self._loop.catch_up()
            return late

    def node_id_of(self, slot: str) -> str:
        """What Ray calls the node of a slot's worker; empty before it has connected."""
        with self._state_changed:
            return self._slots[slot].worker.node_id if slot in self._slots else ""

    def close_slot(self, slot: str, end: WorkerEnd, cause: str = "") -> None:
        """The slot's worker is gone; if it died, its trial is retried or lost. `cause` is a line for the log."""
        with self._state_changed:
            closed = self._slots.pop(slot, None)
            if closed is None:
                return
            if end is WorkerEnd.DIED and not closed.is_connected:
                self._count_unreached(cause)
            if end is not WorkerEnd.SHUT_DOWN and not closed.is_leaving and not self._is_closed:
                self._after_death(closed, end, cause)
                self._loop.catch_up()
            self._state_changed.notify_all()

    def serve(self, connection: Connection) -> None:
        """Answer one worker until it is told to shut down.

        Raises:
            ConnectionLostError: The worker ended by itself, or sent what it must not.
        """
        ready = connection.receive()
        if isinstance(ready, NodeProblem):
            return self.fail(NodeUnfitError(ready.line))
        if not isinstance(ready, WorkerReady):
            raise ConnectionLostError(f"a worker began with {type(ready).__name__}")
        try:
            answer = self._first_answer(slot := ready.slot, ready.worker)
            while True:
                self._send(connection, answer)
                if answer is Order.SHUTDOWN:
                    return None
                self._propose_early()
                answer = self.report(slot, self._next_report(slot, connection))
        except ConnectionLostError:
            raise
        except BaseException as error:
            self.fail(error)

    def report(self, slot: str, report: WorkerReport) -> Instruction:
        """Take in a worker's report and answer what to do next; waits where that depends on other workers."""
        with self._state_changed:
            place = self._slots.get(slot)
            start = place.start if place else None
            if self._is_closed or place is None or start is None or start.trial_id != report.trial_id:
                return Order.SHUTDOWN
            place.worker = report.worker
            for note in report.result.notes:
                _log.warning("%s: %s", report.trial_id, note)
            decision = self._loop.report(report.trial_id, report.result, report.worker)
            if decision is Decision.KEEP:
                place.silent_since_secs = self._clock()
                return Order.CONTINUE
            place.start, place.silent_since_secs = None, math.inf
            self._state_changed.notify_all()
            if report.worker.recycled:
                place.is_leaving = True
                return Order.SHUTDOWN
            return self._next_answer(slot, self._next_start(worker_is_idle=True))

    def training_begins(self, slot: str) -> None:
        """The slot's worker has set up its trial and trains from now on."""
        with self._state_changed:
            place = self._slots.get(slot)
            if place is not None and place.start is not None:
                place.silent_since_secs = self._clock()

    def close(self) -> None:
        """From now on answer every worker with SHUTDOWN, and report nothing to the loop."""
        with self._state_changed:
            self._is_closed = True
            if self._error is None:
                self._loop.catch_up()
            self._state_changed.notify_all()

    @property
    def _needed(self) -> float:
        """How many more workers there are trials for."""
        return len(self._orphans) + self._queue.startable

    @property
    def _gives_no_trials(self) -> bool:
        """Whether a worker that asks now is told to shut down: the search ends, or it has more than it may keep."""
        return self._is_closed or self._slots.staying > self._limit

    def _send(self, connection: Connection, answer: Instruction) -> None:
        """Answer a worker; rows are written after it, whether it is still there or not."""
        try:
            connection.send(answer)
        finally:
            with self._state_changed:
                self._loop.catch_up()

    def _next_report(self, slot: str, connection: Connection) -> WorkerReport:
        while not isinstance(message := connection.receive(), WorkerReport):
            if not isinstance(message, TrainingBegins):
                raise ConnectionLostError(f"a worker sent {type(message).__name__}")
            self.training_begins(slot)
        return message

    def _first_answer(self, slot: str, worker: Worker) -> Instruction:
        with self._state_changed:
            place = self._slots.get(slot)
            if place is None or place.is_connected:
                return Order.SHUTDOWN
            place.is_connected = self._any_connected = True
            place.worker = worker
            self._unreached_workers = 0
            return self._next_answer(slot, self._next_start())

    def _next_answer(self, slot: str, start: TrialStart | None) -> Instruction:
        place = self._slots[slot]
        while start is None and self._loop.may_start_later and not self._gives_no_trials:
            self._loop.catch_up()  # it may be long until this worker has its answer
            self._state_changed.wait(LOOK_EVERY_SECS)
            if slot not in self._slots:
                return Order.SHUTDOWN
            start = self._next_start()
        if self._is_closed or start is None:
            place.is_leaving = True
            return Order.SHUTDOWN
        place.start, place.silent_since_secs = start, self._clock()
        return start

    def _next_start(self, worker_is_idle: bool = False) -> TrialStart | None:
        if self._gives_no_trials:
            return None
        return self._orphans.take() or self._queue.take(worker_is_idle)

    def _propose_early(self) -> None:
        """Fill the queue, unless another worker is being answered: a proposal takes longer than a report."""
        if self._state_changed.acquire(blocking=False):
            try:
                if not self._is_closed:
                    self._queue.fill()
            finally:
                self._state_changed.release()

    def _after_death(self, slot: WorkerSlot, end: WorkerEnd, cause: str) -> None:
        outlook = "" if slot.start is None else f"; {self._orphans.add(slot.start, end)}"
        where = f" on {slot.worker.node}" if slot.worker.node else ""
        _log.warning(f"a worker{where} died: {cause or end.value}{outlook}")

    def _end_silent(self, slot: WorkerSlot) -> None:
        hours = self._rules.silence_limit_secs / 3600
        error = f"TimeoutError: no word for {hours:.3g} hours (resources.max_epoch_hours)"
        start, slot.start = slot.start, None
        slot.is_leaving, slot.silent_since_secs = True, math.inf
        if start is not None and not self._is_closed:
            _log.warning(
                f"the worker of {start.trial_id} on {slot.worker.node or 'some node'} is killed: {error}"
            )
            timeout = EpochResult(None, failure=Outcome.TIMEOUT, error=error)
            self._loop.report(start.trial_id, timeout, slot.worker)
            self._state_changed.notify_all()

    def _count_unreached(self, cause: str) -> None:
        self._unreached_workers += 1
        if self._any_connected:
            self._retry_at_secs = self._clock() + min(MAX_RETRY_SECS, 2.0**self._unreached_workers)
        elif self._unreached_workers == MAX_UNREACHED_WORKERS:
            self._error = ClusterUnreachableError(
                f"the first {MAX_UNREACHED_WORKERS} workers ended before they reached this process; Ray's logs hold "
                f"their last output{f', which ends with: {cause}' if cause else ''}. Nodes must let workers through to "
                "the driver: TOPRUNG_PORT sets the port it listens at"
            )
