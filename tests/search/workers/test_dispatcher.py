"""Workers at the driver's dispatcher: trials in order, waiting for others, early proposals, errors."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from toprung.cluster.worker_server import accept_workers
from toprung.search.strategy.strategy import Decision
from toprung.search.workers.dispatcher import Dispatcher, DispatchRules
from toprung.search.workers.slots import WorkerEnd
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
        self.answer = name_of(self.connection.ask(WorkerReady(slot, Worker("node", 1))))

    def report(self, trial_id: str, epoch: int = 1, recycled: bool = False) -> str:
        return name_of(self.connection.ask(report_of(trial_id, epoch, recycled)))


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
        assert worker.answer == "t00000"
        worker.connection.send(TrainingBegins())
        answers = [worker.report("t00000", 1), worker.report("t00000", 2), worker.report("t00001", 2)]
        assert answers == ["CONTINUE", "t00001", "SHUTDOWN"]
    assert not dispatcher.finished, "its worker has not left"
    dispatcher.close_slot("a", WorkerEnd.SHUT_DOWN)
    assert dispatcher.finished


def test_rows_are_written_after_each_answer_also_for_a_worker_that_is_gone(fake_loop) -> None:
    loop = fake_loop(3)
    dispatcher = Dispatcher(loop)
    dispatcher.open_slot("a")
    answers: list[tuple[str, int]] = []

    class LostConnection:
        def __init__(self) -> None:
            self.messages = iter([WorkerReady("a", Worker("node", 1)), report_of("t00000")])

        def receive(self) -> object:
            return next(self.messages)

        def send(self, answer: Instruction) -> None:
            answers.append((name_of(answer), loop.caught_up))
            if len(answers) == 2:
                raise ConnectionLostError("gone")

    with pytest.raises(ConnectionLostError):
        dispatcher.serve(LostConnection())  # type: ignore[arg-type]
    assert answers == [("t00000", 0), ("t00001", 1)]
    assert loop.caught_up == 2


def test_a_slot_is_opened_only_where_there_is_a_trial_for_it(fake_loop) -> None:
    loop = fake_loop(2)
    dispatcher = Dispatcher(loop)
    assert [dispatcher.open_slot(slot) for slot in "abc"] == [True, True, False]
    assert dispatcher.slots == 2
    assert loop.begun == [], "a trial begins when a worker connects"
    with served(dispatcher) as address:
        assert Caller(address, "b").answer == "t00000", "whichever connects first"
        assert dispatcher.connected == 1


def test_no_slot_is_opened_where_the_search_has_nothing_to_propose(fake_loop) -> None:
    loop = fake_loop(0)
    loop.has_paused = True
    dispatcher = Dispatcher(loop)
    assert not dispatcher.open_slot("a") and not dispatcher.finished
    loop.has_paused = False
    assert dispatcher.finished


def test_a_worker_without_a_trial_leaves_at_once_while_others_train_the_last_ones(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2))
    dispatcher.open_slot("a"), dispatcher.open_slot("b")
    with served(dispatcher) as address:
        first, second = Caller(address, "a"), Caller(address, "b")
        assert first.report("t00000") == "SHUTDOWN", "so that its node can go"
        assert dispatcher.connected == 1
        dispatcher.close_slot("a", WorkerEnd.SHUT_DOWN)
        assert not dispatcher.open_slot("c") and not dispatcher.finished
        assert second.report("t00001") == "SHUTDOWN"


def test_slots_that_wait_for_a_node_are_surplus_once_there_is_no_trial_for_them(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(3))
    for slot in "abc":
        dispatcher.open_slot(slot)
    assert dispatcher.surplus(["b", "c"]) == []
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        assert worker.report("t00000") == "t00001"
        assert dispatcher.surplus(["b", "c"]) == ["c"], "one trial is left"
        assert worker.report("t00001") == "t00002"
        assert dispatcher.surplus(["b", "c"]) == ["b", "c"]


def test_workers_beyond_the_limit_leave_at_the_ends_of_their_trials_and_come_back(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(9))
    assert dispatcher.open_slot("a") and dispatcher.open_slot("b") and dispatcher.open_slot("c")
    with served(dispatcher) as address:
        first, second = Caller(address, "a"), Caller(address, "b")
        dispatcher.limit_workers(1)
        assert dispatcher.surplus(["c"]) == ["c"], "it would take the room that is let go"
        dispatcher.close_slot("c", WorkerEnd.SHUT_DOWN)
        assert not dispatcher.open_slot("d")
        assert first.report("t00000") == "SHUTDOWN"
        assert second.report("t00001") == "t00002", "its share stays"
        assert not dispatcher.finished
        dispatcher.close_slot("a", WorkerEnd.SHUT_DOWN)
        dispatcher.limit_workers(math.inf)
        assert dispatcher.open_slot("d")
        assert Caller(address, "d").answer == "t00003"


def test_a_worker_that_comes_when_there_are_too_many_leaves_without_a_trial(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(9))
    assert dispatcher.open_slot("a") and dispatcher.open_slot("b")
    with served(dispatcher) as address:
        dispatcher.limit_workers(1)
        assert Caller(address, "a").answer == "SHUTDOWN"
        assert Caller(address, "b").answer == "t00000"


def test_a_worker_that_exceeds_its_memory_shuts_down_between_two_trials(fake_loop) -> None:
    dispatcher = Dispatcher(fake_loop(2, epochs=2))
    dispatcher.open_slot("a")
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        assert worker.report("t00000", 1, recycled=True) == "CONTINUE"
        assert worker.report("t00000", 2, recycled=True) == "SHUTDOWN"
        dispatcher.close_slot("a", WorkerEnd.SHUT_DOWN)
        assert dispatcher.open_slot("b"), "another worker takes the next trial"
        assert Caller(address, "b").report("t00001", 2) == "SHUTDOWN"


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
        deadline = time.monotonic() + 10
        while loop.caught_up < 3:  # after both first answers, and while it waits, which may be long
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert answers == []
        loop.left = 1  # as when the end of a trial promotes another
        ending = threading.Thread(target=lambda: answers.append(second.report("t00001")))
        ending.start()
        time.sleep(0.2)
        assert answers == ["t00002"]
        loop.has_paused = False
        waiting.join(10), ending.join(10)
        assert answers == ["t00002", "SHUTDOWN"]
    assert loop.proposed == 3, "the promoted trial was given out once"


def test_the_next_trial_is_proposed_while_all_workers_train(fake_loop) -> None:
    loop = fake_loop(5, epochs=2)
    dispatcher = Dispatcher(loop, DispatchRules(max_early_proposals=2))
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


@pytest.mark.parametrize("nonsense", ["not a report", None, TrialStart("t00000", 0, 0, {}), {"result": 1}])
def test_a_message_that_is_no_report_ends_its_connection_and_not_the_search(fake_loop, nonsense) -> None:
    dispatcher = Dispatcher(fake_loop(3))
    dispatcher.open_slot("a"), dispatcher.open_slot("b")
    with served(dispatcher) as address:
        broken, healthy = Caller(address, "a"), Caller(address, "b")
        with pytest.raises(ConnectionLostError):
            broken.connection.ask(nonsense)
        stranger = connect_to_driver(address)
        with pytest.raises(ConnectionLostError):
            stranger.ask(nonsense)
        assert healthy.report("t00001") == "t00002"
    dispatcher.raise_error()


def test_many_workers_at_once_train_every_trial_once(fake_loop) -> None:
    loop = fake_loop(400, epochs=3)
    dispatcher, trained = Dispatcher(loop, DispatchRules(max_early_proposals=8)), []
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
    connection = connect_to_driver(address)
    answer: Instruction = connection.ask(WorkerReady(slot, Worker("node", 1)))
    while isinstance(answer, TrialStart):
        trained.append(answer.trial_id)
        start, answer = answer, Order.CONTINUE
        for epoch in (1, 2, 3):
            assert answer is Order.CONTINUE
            answer = connection.ask(report_of(start.trial_id, epoch))
    connection.close()


def test_a_worker_whose_node_is_unfit_ends_the_search_with_its_line_and_fails_no_trial(fake_loop) -> None:
    loop = fake_loop(2)
    dispatcher = Dispatcher(loop)
    assert dispatcher.open_slot("a")
    with served(dispatcher) as address, pytest.raises(ConnectionLostError):
        connect_to_driver(address).ask(NodeProblem("node x: no GPU"))
    with pytest.raises(NodeUnfitError, match=r"^node x: no GPU$"):
        dispatcher.raise_error()
    assert not loop.lost_trials
