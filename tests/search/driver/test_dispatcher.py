"""Workers at the driver's dispatcher: trials in order, retries, waiting for others, proposals ahead, errors."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from toprung.cluster.worker_server import accept_workers
from toprung.search.driver.dispatcher import Dispatcher
from toprung.search.strategy.strategy import Decision
from toprung.spaces.errors import InputError
from toprung.trainables.trial.messages import Answer, EpochResult, Order, TrialStart, Worker, WorkerReport
from toprung.trainables.trial.report import EpochReport
from toprung.trainables.worker.connection import Address, Connection, ConnectionLostError, connect_to_driver


class FewTrials:
    """A search loop that has `count` trials and stops each at epoch `epochs`."""

    def __init__(self, count: int, epochs: int = 1) -> None:
        self.left, self.asked, self.epochs = count, 0, epochs
        self.open: set[str] = set()
        self.lost_trials: list[str] = []
        self.abort_reason: str | None = None
        self.finished_when_open = True

    @property
    def finished(self) -> bool:
        return self.left == 0 and not self.open and self.finished_when_open

    def prepare(self) -> None:
        """Nothing to do ahead."""

    def begin(self, start: TrialStart) -> None:
        assert start.trial_id in self.open

    def next_trial(self) -> TrialStart | None:
        return self.propose()

    def propose(self) -> TrialStart | None:
        if self.left == 0:
            return None
        self.left -= 1
        self.asked += 1
        self.open.add(f"t{self.asked - 1:05d}")
        return TrialStart(f"t{self.asked - 1:05d}", self.asked - 1, 0, {})

    def report(self, trial_id: str, result: EpochResult, worker: Worker) -> Decision:
        assert result.report is not None
        if result.report.epoch < self.epochs:
            return Decision.KEEP
        self.open.discard(trial_id)
        return Decision.STOP

    def lost(self, trial_id: str, error: str) -> None:
        self.open.discard(trial_id)
        self.lost_trials.append(trial_id)


def desk_of(loop: Any, most_ahead: int = 0, max_failures: int = 0) -> Dispatcher:
    return Dispatcher(loop, most_ahead, max_failures)


def told(trial_id: str, epoch: int = 1, outgrown: bool = False) -> WorkerReport:
    return WorkerReport(trial_id, EpochResult(EpochReport(trial_id, epoch)), Worker("node", 1, outgrown))


def name_of(answer: Answer) -> str:
    return answer.name if isinstance(answer, Order) else answer.trial_id


class Caller:
    """A worker's end."""

    def __init__(self, address: Address, slot: str) -> None:
        self.line = connect_to_driver(address)
        self.answer: Answer = self.line.ask(slot)

    def tell(self, trial_id: str, epoch: int = 1, outgrown: bool = False) -> str:
        return name_of(self.line.ask(told(trial_id, epoch, outgrown)))


@contextmanager
def served(dispatcher: Dispatcher) -> Iterator[Address]:
    with accept_workers("127.0.0.1", dispatcher.serve) as address:
        yield address
        dispatcher.close()


def test_a_worker_trains_one_trial_after_the_other_until_there_are_none() -> None:
    dispatcher = desk_of(FewTrials(2, epochs=2))
    assert dispatcher.open("a")
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        assert name_of(worker.answer) == "t00000"
        told_next = [worker.tell("t00000", 1), worker.tell("t00000", 2), worker.tell("t00001", 2)]
        assert told_next == ["CONTINUE", "t00001", "SHUTDOWN"]
    assert not dispatcher.finished, "its worker has not left"
    dispatcher.leave("a", died=False)
    assert dispatcher.finished


def test_a_seat_is_opened_only_where_there_is_a_trial_for_it() -> None:
    dispatcher = desk_of(FewTrials(2))
    assert [dispatcher.open(slot) for slot in "abc"] == [True, True, False]
    assert dispatcher.slots == 2


def test_a_trial_whose_worker_died_is_taken_up_by_the_next_one_and_lost_after_its_retries() -> None:
    loop = FewTrials(1)
    dispatcher = desk_of(loop, max_failures=2)
    for slot in "abc":
        assert dispatcher.open(slot), "tried again"
        assert not dispatcher.finished
        dispatcher.leave(slot, died=True)
    assert loop.lost_trials == ["t00000"]
    assert not dispatcher.open("d") and dispatcher.finished


def test_each_trial_has_its_own_retries() -> None:
    loop = FewTrials(2)
    dispatcher = desk_of(loop, max_failures=1)
    dispatcher.open("a")
    dispatcher.leave("a", died=True)
    dispatcher.open("b")
    assert name_of(dispatcher.report("b", told("t00000"))) == "t00001"
    dispatcher.leave("b", died=True)
    assert loop.lost_trials == [], "t00001 died for the first time"
    assert dispatcher.open("c")


def test_a_worker_that_has_outgrown_its_share_goes_home_between_two_trials() -> None:
    dispatcher = desk_of(FewTrials(2, epochs=2))
    dispatcher.open("a")
    assert name_of(dispatcher.report("a", told("t00000", 1, outgrown=True))) == "CONTINUE"
    assert name_of(dispatcher.report("a", told("t00000", 2, outgrown=True))) == "SHUTDOWN"
    dispatcher.leave("a", died=False)
    assert dispatcher.open("b"), "another worker takes the next trial"
    assert name_of(dispatcher.report("b", told("t00001", 2))) == "SHUTDOWN"


def test_a_result_of_a_worker_given_up_is_not_taken() -> None:
    loop = FewTrials(2)
    dispatcher = desk_of(loop, max_failures=1)
    dispatcher.open("a")
    dispatcher.leave("a", died=True)
    assert name_of(dispatcher.report("a", told("t00000"))) == "SHUTDOWN"
    assert loop.left == 1, "it was not told another trial either"


def test_a_worker_with_nothing_to_do_waits_for_what_the_others_end() -> None:
    loop = FewTrials(2)
    loop.finished_when_open = False
    dispatcher = desk_of(loop)
    dispatcher.open("a"), dispatcher.open("b")
    with served(dispatcher) as address:
        first, second = Caller(address, "a"), Caller(address, "b")
        answers: list[str] = []
        waiting = threading.Thread(target=lambda: answers.append(first.tell("t00000")))
        waiting.start()
        time.sleep(0.1)
        assert answers == []
        loop.left, loop.finished_when_open = 1, True  # as when the end of a trial promotes another
        ending = threading.Thread(target=lambda: answers.append(second.tell("t00001")))
        ending.start()
        time.sleep(0.2)
        assert answers == ["t00002"]
        loop.open.clear()  # it has ended
        waiting.join(10), ending.join(10)
        assert answers == ["t00002", "SHUTDOWN"]
    assert loop.asked == 3, "the promoted trial was given out once"


def test_a_trial_whose_worker_never_came_is_neither_lost_nor_waited_for() -> None:
    dispatcher = desk_of(FewTrials(2))
    dispatcher.open("a"), dispatcher.open("b")
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        dispatcher.leave("b", died=True)
        assert dispatcher.open("c"), "its node was no good; and there is no room for this one"
        assert worker.tell("t00000") == "t00001"
        assert name_of(Caller(address, "c").answer) == "SHUTDOWN", "it comes too late"


def test_the_next_trial_is_proposed_while_all_workers_train() -> None:
    loop = FewTrials(5, epochs=2)
    dispatcher = desk_of(loop, most_ahead=2)
    dispatcher.open("a")
    with served(dispatcher) as address:
        worker = Caller(address, "a")
        assert worker.tell("t00000", 1) == "CONTINUE"
        assert worker.tell("t00000", 1) == "CONTINUE"
        assert loop.asked == 2, "one ahead, and no more"
        assert worker.tell("t00000", 2) == "t00001"


def test_a_worker_alone_is_proposed_nothing_ahead() -> None:
    loop = FewTrials(5, epochs=2)
    dispatcher = desk_of(loop)
    dispatcher.open("a")
    with served(dispatcher) as address:
        Caller(address, "a").tell("t00000", 1)
        assert loop.asked == 1


def test_what_goes_wrong_at_the_desk_is_raised_to_whoever_runs_the_search() -> None:
    class Broken(FewTrials):
        def report(self, *_: object) -> Decision:
            raise ZeroDivisionError("in the sampler")

    dispatcher = desk_of(Broken(2))
    dispatcher.open("a"), dispatcher.open("b")
    dispatcher.check()
    with served(dispatcher) as address:
        worker, other = Caller(address, "a"), Caller(address, "b")
        with pytest.raises(ConnectionLostError):
            worker.tell("t00000")
        assert other.tell("t00001") == "SHUTDOWN", "so that the search can end"
    with pytest.raises(ZeroDivisionError, match="in the sampler"):
        dispatcher.check()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_worker_that_dies_in_the_middle_of_a_message_is_gone_and_the_others_go_on(share: float) -> None:
    dispatcher = desk_of(FewTrials(3), max_failures=1)
    dispatcher.open("a"), dispatcher.open("b")
    with served(dispatcher) as address:
        dying, other = Caller(address, "a"), Caller(address, "b")
        message = pickle.dumps(told("t00000"))
        dying.line._file.write(message[: int(share * len(message))])
        dying.line._file.flush()
        dying.line.close()
        time.sleep(0.1)
        assert other.tell("t00001") == "t00002"
    dispatcher.check()


def test_workers_that_never_reach_the_desk_end_the_search_instead_of_every_trial() -> None:
    dispatcher = desk_of(FewTrials(100), max_failures=3)
    for number in range(5):
        dispatcher.check()
        dispatcher.open(str(number))
        dispatcher.leave(str(number), died=True)
    with pytest.raises(Exception, match="TOPRUNG_PORT"):
        dispatcher.check()


def test_many_workers_at_once_train_every_trial_once() -> None:
    loop = FewTrials(400, epochs=3)
    dispatcher, seen = desk_of(loop, most_ahead=8), []
    for slot in range(8):
        dispatcher.open(str(slot))

    with served(dispatcher) as address:
        threads = [threading.Thread(target=train_all, args=(address, str(slot), seen)) for slot in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(seen) == [f"t{number:05d}" for number in range(400)]


def train_all(address: Address, slot: str, seen: list[str]) -> None:
    """A worker's whole life, three epochs a trial."""
    worker = Caller(address, slot)
    answer = worker.answer
    while isinstance(answer, TrialStart):
        seen.append(answer.trial_id)
        start, answer = answer, Order.CONTINUE
        for epoch in (1, 2, 3):
            assert answer is Order.CONTINUE
            answer = worker.line.ask(told(start.trial_id, epoch))
    worker.line.close()


def test_nothing_is_unpickled_for_a_stranger() -> None:
    dispatcher = desk_of(FewTrials(1))
    dispatcher.open("a")
    with served(dispatcher) as address:
        stranger = connect_to_driver(Address(address.host, address.port, bytes(len(address.key))))
        with pytest.raises(ConnectionLostError):
            stranger.ask("a")
        assert name_of(Caller(address, "a").answer) == "t00000"


def test_a_long_message_arrives_whole() -> None:
    def echo(line: Connection) -> None:
        line.send(line.receive())

    long = [float(number) for number in range(200_000)]
    with accept_workers("127.0.0.1", echo) as address:
        assert connect_to_driver(address).ask(long) == long


def test_a_driver_that_cannot_be_reached_says_what_to_do() -> None:
    with accept_workers("127.0.0.1", lambda line: None) as address:
        pass
    with pytest.raises(ConnectionLostError, match="TOPRUNG_PORT"):
        connect_to_driver(address)


def test_the_lines_are_cut_when_the_driver_stops_listening() -> None:
    with accept_workers("127.0.0.1", lambda line: line.receive()) as address:
        line = connect_to_driver(address)
        time.sleep(0.05)
    with pytest.raises(ConnectionLostError):
        line.receive()


@pytest.mark.parametrize("given", ["abc", "-1", "70000", ""])
def test_a_port_that_is_none_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TOPRUNG_PORT", given)
    with (
        pytest.raises(InputError, match=r"TOPRUNG_PORT.*65535"),
        accept_workers("127.0.0.1", lambda line: None),
    ):
        pass
