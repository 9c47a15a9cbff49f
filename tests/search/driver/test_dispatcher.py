"""Workers at the driver's dispatcher: trials in order, retries, waiting for others, early proposals, errors."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from toprung.cluster.session import ClusterUnreachableError
from toprung.cluster.worker_server import accept_workers
from toprung.search.driver.dispatcher import Dispatcher
from toprung.search.strategy.strategy import Decision
from toprung.trainables.trial.messages import (
    EpochResult,
    Instruction,
    Order,
    TrialStart,
    Worker,
    WorkerReport,
)
from toprung.trainables.trial.report import EpochReport
from toprung.trainables.worker.connection import Address, ConnectionLostError, connect_to_driver
from toprung.trainables.worker.preflight import NodeProblem, NodeUnfitError


def report_of(trial_id: str, epoch: int = 1, recycled: bool = False) -> WorkerReport:
    return WorkerReport(trial_id, EpochResult(EpochReport(trial_id, epoch)), Worker("node", 1, recycled))


def name_of(answer: Instruction) -> str:
    return answer.name if isinstance(answer, Order) else answer.trial_id


class Caller:
    """A worker's end of its connection."""

    def __init__(self, address: Address, slot: str) -> None:
        self.connection = connect_to_driver(address)
        self.answer: Instruction = self.connection.ask(slot)

    def report(self, trial_id: str, epoch: int = 1) -> str:
        return name_of(self.connection.ask(report_of(trial_id, epoch)))


@contextmanager
def served(dispatcher: Dispatcher) -> Iterator[Address]:
    with accept_workers("127.0.0.1", dispatcher.serve) as address:
        yield address
        dispatcher.close()


def test_a_worker_trains_one_trial_after_the_other_until_there_are_none(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2, epochs=2))
    assert dispatcher.open_slot("a")
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        assert name_of(worker.answer) == "t00000"
        answers = [worker.report("t00000", 1), worker.report("t00000", 2), worker.report("t00001", 2)]
        assert answers == ["CONTINUE", "t00001", "SHUTDOWN"]
    assert not dispatcher.finished, "its worker has not left"
    dispatcher.close_slot("a", died=False)
    assert dispatcher.finished


def test_a_slot_is_opened_only_where_there_is_a_trial_for_it(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2))
    assert [dispatcher.open_slot(slot) for slot in "abc"] == [True, True, False]
    assert dispatcher.slots == 2


def test_a_trial_whose_worker_died_is_continued_by_the_next_one_and_lost_after_its_retries(fake_loop) -> None:
    loop = fake_loop(1)
    dispatcher = Dispatcher(loop, max_failures=2)
    for slot in "abc":
        assert dispatcher.open_slot(slot), "tried again"
        assert not dispatcher.finished
        dispatcher.close_slot(slot, died=True)
    assert loop.lost_trials == ["t00000"]
    assert not dispatcher.open_slot("d") and dispatcher.finished


def test_each_trial_has_its_own_retries(fake_loop) -> None:
    loop = fake_loop(2)
    dispatcher = Dispatcher(loop, max_failures=1)
    dispatcher.open_slot("a")
    dispatcher.close_slot("a", died=True)
    dispatcher.open_slot("b")
    assert name_of(dispatcher.report("b", report_of("t00000"))) == "t00001"
    dispatcher.close_slot("b", died=True)
    assert loop.lost_trials == [], "t00001 lost a worker for the first time"
    assert dispatcher.open_slot("c")


def test_a_worker_that_exceeds_its_memory_shuts_down_between_two_trials(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2, epochs=2))
    dispatcher.open_slot("a")
    assert name_of(dispatcher.report("a", report_of("t00000", 1, recycled=True))) == "CONTINUE"
    assert name_of(dispatcher.report("a", report_of("t00000", 2, recycled=True))) == "SHUTDOWN"
    dispatcher.close_slot("a", died=False)
    assert dispatcher.open_slot("b"), "another worker takes the next trial"
    assert name_of(dispatcher.report("b", report_of("t00001", 2))) == "SHUTDOWN"


def test_a_report_of_a_worker_that_counts_as_dead_is_not_taken_in(fake_loop) -> None:
    loop = fake_loop(2)
    dispatcher = Dispatcher(loop, max_failures=1)
    dispatcher.open_slot("a")
    dispatcher.close_slot("a", died=True)
    assert name_of(dispatcher.report("a", report_of("t00000"))) == "SHUTDOWN"
    assert loop.left == 1, "it was given no other trial either"


def test_a_worker_with_nothing_to_do_waits_for_what_the_others_end(fake_loop) -> None:
    loop = fake_loop(2)
    loop.has_paused = True
    dispatcher = Dispatcher(loop)
    dispatcher.open_slot("a"), dispatcher.open_slot("b")
    with served(dispatcher) as address:
        first, second = Caller(address, "a"), Caller(address, "b")
        answers: list[str] = []
        waiting = threading.Thread(target=lambda: answers.append(first.report("t00000")))
        waiting.start()
        time.sleep(0.1)
        assert answers == []
        loop.left, loop.has_paused = 1, False  # as when the end of a trial promotes another
        ending = threading.Thread(target=lambda: answers.append(second.report("t00001")))
        ending.start()
        time.sleep(0.2)
        assert answers == ["t00002"]
        loop.active.clear()  # it has ended
        waiting.join(10), ending.join(10)
        assert answers == ["t00002", "SHUTDOWN"]
    assert loop.proposed == 3, "the promoted trial was given out once"


def test_a_trial_whose_worker_never_connected_is_neither_lost_nor_waited_for(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2))
    dispatcher.open_slot("a"), dispatcher.open_slot("b")
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        dispatcher.close_slot("b", died=True)
        assert dispatcher.open_slot("c"), "its node was no good; and there is no room for this one"
        assert worker.report("t00000") == "t00001"
        assert name_of(Caller(address, "c").answer) == "SHUTDOWN", "it connects too late"


def test_the_next_trial_is_proposed_while_all_workers_train(fake_loop) -> None:
    loop = fake_loop(5, epochs=2)
    dispatcher = Dispatcher(loop, max_early_proposals=2)
    dispatcher.open_slot("a")
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        assert worker.report("t00000", 1) == "CONTINUE"
        assert worker.report("t00000", 1) == "CONTINUE"
        assert loop.proposed == 2, "one in advance, and no more"
        assert worker.report("t00000", 2) == "t00001"


def test_nothing_is_proposed_early_for_a_worker_alone(fake_loop) -> None:
    loop = fake_loop(5, epochs=2)
    dispatcher = Dispatcher(loop)
    dispatcher.open_slot("a")
    with served(dispatcher) as address:
        Caller(address, "a").report("t00000", 1)
        assert loop.proposed == 1


def test_an_error_in_a_workers_thread_is_raised_to_whoever_runs_the_search(fake_loop) -> None:
    class Broken(fake_loop):  # type: ignore[misc]
        def report(self, *_: object) -> Decision:
            raise ZeroDivisionError("in the sampler")

    dispatcher = Dispatcher(Broken(2))
    dispatcher.open_slot("a"), dispatcher.open_slot("b")
    dispatcher.raise_error()
    with served(dispatcher) as address:
        worker, other = Caller(address, "a"), Caller(address, "b")
        with pytest.raises(ConnectionLostError):
            worker.report("t00000")
        assert other.report("t00001") == "SHUTDOWN", "so that the search can end"
    with pytest.raises(ZeroDivisionError, match="in the sampler"):
        dispatcher.raise_error()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_worker_that_dies_in_the_middle_of_a_message_is_gone_and_the_others_continue(
    fake_loop, share: float
) -> None:
    dispatcher = Dispatcher(fake_loop(3), max_failures=1)
    dispatcher.open_slot("a"), dispatcher.open_slot("b")
    with served(dispatcher) as address:
        message = pickle.dumps(report_of("t00000"))
        with socket.create_connection((address.host, address.port)) as dying:
            dying.sendall(address.key + pickle.dumps("a") + message[: int(share * len(message))])
            assert dying.recv(1), "it was given a trial"
        time.sleep(0.1)
        assert Caller(address, "b").report("t00001") == "t00002"
    dispatcher.raise_error()


def test_workers_that_never_connect_end_the_search_instead_of_every_trial(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(100), max_failures=3)
    for number in range(5):
        dispatcher.raise_error()
        dispatcher.open_slot(str(number))
        dispatcher.close_slot(str(number), died=True)
    with pytest.raises(ClusterUnreachableError, match="TOPRUNG_PORT"):
        dispatcher.raise_error()


def test_many_workers_at_once_train_every_trial_once(fake_loop) -> None:
    loop = fake_loop(400, epochs=3)
    dispatcher, trained = Dispatcher(loop, max_early_proposals=8), []
    for slot in range(8):
        dispatcher.open_slot(str(slot))

    with served(dispatcher) as address:
        threads = [
            threading.Thread(target=train_all, args=(address, str(slot), trained)) for slot in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(trained) == [f"t{number:05d}" for number in range(400)]


def train_all(address: Address, slot: str, trained: list[str]) -> None:
    """A worker's whole life, three epochs a trial."""
    worker = Caller(address, slot)
    answer = worker.answer
    while isinstance(answer, TrialStart):
        trained.append(answer.trial_id)
        start, answer = answer, Order.CONTINUE
        for epoch in (1, 2, 3):
            assert answer is Order.CONTINUE
            answer = worker.connection.ask(report_of(start.trial_id, epoch))
    worker.connection.close()


def test_a_worker_whose_node_is_unfit_ends_the_search_with_its_line_and_fails_no_trial(fake_loop) -> None:
    loop = fake_loop(2)
    dispatcher = Dispatcher(loop)
    assert dispatcher.open_slot("a")
    with served(dispatcher) as address, pytest.raises(ConnectionLostError):
        connect_to_driver(address).ask(NodeProblem("node x: no GPU"))
    with pytest.raises(NodeUnfitError, match=r"^node x: no GPU$"):
        dispatcher.raise_error()
    assert not loop.lost_trials
