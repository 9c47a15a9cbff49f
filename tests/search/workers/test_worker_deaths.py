"""Workers and nodes that die or fall silent: their trials go on elsewhere, are given up or ended."""

from __future__ import annotations

import logging
import pickle
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as MessageStream
from multiprocessing.connection import answer_challenge, deliver_challenge

import pytest

from toprung.cluster.session import ClusterUnreachableError
from toprung.cluster.worker_server import accept_workers
from toprung.search.workers.dispatcher import Dispatcher, DispatchRules
from toprung.search.workers.slots import WorkerEnd
from toprung.trainables.trial.messages import (
    EpochResult,
    Instruction,
    Order,
    TrainingBegins,
    Worker,
    WorkerReady,
    WorkerReport,
)
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.connection import Address, connect_to_driver, side_key


def report_of(trial_id: str, epoch: int = 1) -> WorkerReport:
    return WorkerReport(trial_id, EpochResult(EpochReport(trial_id, epoch)), Worker("node7", 1))


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.secs = 1000.0

    def __call__(self) -> float:
        return self.secs


class Workers:
    """Workers that connect when the test says so."""

    def __init__(self, dispatcher: Dispatcher, address: Address) -> None:
        self._dispatcher, self._address = dispatcher, address
        self._connections: dict[str, object] = {}

    def open(self, slot: str) -> str:
        """Open a slot, connect its worker and return what it is told first."""
        assert self._dispatcher.open_slot(slot)
        return self.connect(slot)

    def connect(self, slot: str) -> str:
        self._connections[slot] = connection = connect_to_driver(self._address)
        return name_of(connection.ask(WorkerReady(slot, Worker("node7", 1, node_id="7f"))))

    def report(self, slot: str, trial_id: str, epoch: int = 1) -> str:
        return name_of(self._connections[slot].ask(report_of(trial_id, epoch)))  # type: ignore[attr-defined]

    def begin_training(self, slot: str) -> None:
        self._connections[slot].send(TrainingBegins())  # type: ignore[attr-defined]
        time.sleep(0.1)  # no answer says that it has arrived


def name_of(answer: Instruction) -> str:
    return answer.name if isinstance(answer, Order) else answer.trial_id


@contextmanager
def workers_of(dispatcher: Dispatcher) -> Iterator[Workers]:
    with accept_workers("127.0.0.1", dispatcher.serve) as address:
        yield Workers(dispatcher, address)
        dispatcher.close()


def test_a_trial_whose_worker_died_goes_on_and_is_lost_after_its_retries(fake_loop) -> None:
    loop = fake_loop(1)
    dispatcher = Dispatcher(loop, DispatchRules(max_failures=2))
    with workers_of(dispatcher) as workers:
        for slot in "abc":
            assert workers.open(slot) == "t00000", "tried again"
            assert not dispatcher.finished
            dispatcher.close_slot(slot, WorkerEnd.DIED)
    assert loop.lost_trials == ["t00000"] and loop.preempted_trials == []
    assert dispatcher.finished


def test_each_trial_has_its_own_retries(fake_loop) -> None:
    loop = fake_loop(2)
    dispatcher = Dispatcher(loop, DispatchRules(max_failures=1))
    with workers_of(dispatcher) as workers:
        workers.open("a")
        dispatcher.close_slot("a", WorkerEnd.DIED)
        workers.open("b")
        assert workers.report("b", "t00000") == "t00001"
        dispatcher.close_slot("b", WorkerEnd.DIED)
        assert loop.lost_trials == [], "t00001 lost a worker for the first time"
        assert workers.open("c") == "t00001"


def test_the_death_of_a_node_uses_up_no_retry_and_is_counted_apart(fake_loop) -> None:
    loop = fake_loop(1)
    dispatcher = Dispatcher(loop, DispatchRules(max_failures=0))
    with workers_of(dispatcher) as workers:
        for slot in "abcde":
            assert workers.open(slot) == "t00000"
            dispatcher.close_slot(slot, WorkerEnd.NODE_DIED)
        assert loop.preempted_trials == ["t00000"] * 5 and loop.lost_trials == []
        assert workers.open("f") == "t00000"
        dispatcher.close_slot("f", WorkerEnd.DIED)
    assert loop.lost_trials == ["t00000"], "its worker died by itself"


def test_the_node_of_a_worker_is_known_from_its_first_word_until_it_is_gone(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(1))
    with workers_of(dispatcher) as workers:
        assert dispatcher.open_slot("a") and dispatcher.node_id_of("a") == ""
        workers.connect("a")
        assert dispatcher.node_id_of("a") == "7f"
        dispatcher.close_slot("a", WorkerEnd.NODE_DIED)
        assert dispatcher.node_id_of("a") == ""


def test_an_orphan_goes_to_the_first_free_worker_before_any_proposal(fake_loop) -> None:
    clock = Clock()
    loop = fake_loop(9)
    dispatcher = Dispatcher(loop, DispatchRules(max_early_proposals=2), clock)
    with workers_of(dispatcher) as workers:
        assert workers.open("a") == "t00000" and workers.open("b") == "t00001"
        dispatcher.close_slot("a", WorkerEnd.NODE_DIED)
        assert dispatcher.open_slot("c"), "a replacement, for which there is no node"
        clock.secs += 30
        assert workers.report("b", "t00001") == "t00000"
        assert loop.waited_secs == {"t00000": 30.0}
        assert workers.connect("c") == "t00002", "it gets a proposal when it comes at last"


def test_a_worker_that_waits_takes_the_orphan_at_once(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2))
    with workers_of(dispatcher) as workers:
        workers.open("a"), workers.open("b")
        assert workers.report("a", "t00000") == "SHUTDOWN"
        dispatcher.close_slot("a", WorkerEnd.SHUT_DOWN)
        dispatcher.close_slot("b", WorkerEnd.NODE_DIED)
        assert workers.open("c") == "t00001", "a slot is opened for the orphan alone"
        assert not dispatcher.open_slot("d")


def test_a_report_of_a_worker_that_counts_as_dead_is_not_taken_in(fake_loop) -> None:
    loop = fake_loop(2)
    dispatcher = Dispatcher(loop, DispatchRules(max_failures=1))
    with workers_of(dispatcher) as workers:
        workers.open("a")
        dispatcher.close_slot("a", WorkerEnd.NODE_DIED)
        assert workers.report("a", "t00000") == "SHUTDOWN"
    assert loop.left == 1, "it was given no other trial either"


def test_a_worker_that_connects_after_its_slot_was_closed_is_sent_away(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2))
    dispatcher.open_slot("a")
    dispatcher.close_slot("a", WorkerEnd.SHUT_DOWN)
    with workers_of(dispatcher) as workers:
        assert workers.connect("a") == "SHUTDOWN"


def test_each_death_is_one_line(fake_loop, caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = Dispatcher(fake_loop(2, epochs=2))
    with workers_of(dispatcher) as workers, caplog.at_level(logging.WARNING, "toprung"):
        workers.open("a")
        workers.report("a", "t00000")
        dispatcher.close_slot("a", WorkerEnd.NODE_DIED)
    assert caplog.messages == [
        "a worker on node7 died: its node died under it; t00000 goes on from its checkpoint"
    ]


def test_a_worker_that_falls_silent_is_to_be_killed_and_its_trial_ends_as_a_timeout(fake_loop) -> None:
    clock = Clock()
    loop = fake_loop(3, epochs=9)
    dispatcher = Dispatcher(loop, DispatchRules(silence_limit_secs=3600), clock)
    with workers_of(dispatcher) as workers:
        workers.open("a"), workers.open("b")
        clock.secs += 3000
        workers.begin_training("a")  # what came before, as tracing the model, does not count
        assert workers.report("b", "t00001") == "CONTINUE"
        clock.secs += 3000
        assert dispatcher.overdue() == []
        assert workers.report("b", "t00001") == "CONTINUE"
        clock.secs += 700
        assert dispatcher.overdue() == ["a"]
        assert loop.failures["t00000"].failure is Outcome.TIMEOUT
        assert "resources.max_epoch_hours" in loop.failures["t00000"].error
        assert dispatcher.overdue() == [], "once"
        assert workers.report("a", "t00000") == "SHUTDOWN", "it was only asleep, and comes too late"
        dispatcher.close_slot("a", WorkerEnd.DIED)
    assert loop.lost_trials == [] and loop.preempted_trials == []


def test_a_worker_that_waits_for_a_trial_is_not_silent(fake_loop) -> None:
    clock = Clock()
    dispatcher = Dispatcher(fake_loop(1), DispatchRules(silence_limit_secs=3600), clock)
    dispatcher.open_slot("a")
    clock.secs += 100_000
    assert dispatcher.overdue() == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_worker_that_dies_in_the_middle_of_a_message_is_gone_and_the_others_continue(
    fake_loop, share: float
) -> None:
    dispatcher = Dispatcher(fake_loop(3))
    dispatcher.open_slot("a")
    with accept_workers("127.0.0.1", dispatcher.serve) as address:
        message = pickle.dumps(report_of("t00000"))
        connected = socket.create_connection((address.host, address.port))
        dying = MessageStream(connected.dup().detach())
        answer_challenge(dying, side_key("worker", address.key))
        deliver_challenge(dying, side_key("driver", address.key))
        dying.send_bytes(pickle.dumps(WorkerReady("a", Worker())))
        assert name_of(pickle.loads(dying.recv_bytes())) == "t00000"
        connected.sendall(len(message).to_bytes(4, "big") + message[: int(share * len(message))])
        connected.close(), dying.close()
        others = Workers(dispatcher, address)
        assert others.open("b") == "t00001"
        assert others.report("b", "t00001") == "t00002"
        dispatcher.close()
    dispatcher.raise_error()


def test_workers_that_never_connect_end_the_search_instead_of_every_trial(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(100))
    for number in range(5):
        dispatcher.raise_error()
        dispatcher.open_slot(str(number))
        dispatcher.close_slot(str(number), WorkerEnd.DIED)
    with pytest.raises(ClusterUnreachableError, match="TOPRUNG_PORT"):
        dispatcher.raise_error()


def test_a_node_on_which_no_worker_starts_is_tried_ever_less_often(fake_loop) -> None:
    clock = Clock()
    dispatcher = Dispatcher(fake_loop(100), clock=clock)
    with workers_of(dispatcher) as workers:
        workers.open("a")
        pauses = []
        for number in range(8):
            before_secs = clock.secs
            while not dispatcher.open_slot(str(number)):
                clock.secs += 1
            pauses.append(clock.secs - before_secs)
            dispatcher.close_slot(str(number), WorkerEnd.DIED)
        assert pauses == [0, 2, 4, 8, 16, 32, 60, 60]
        dispatcher.raise_error()
