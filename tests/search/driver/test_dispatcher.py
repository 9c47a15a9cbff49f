"""Workers at the driver's desk: trials in order, retries, waiting for others, proposals ahead, errors."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from toprung.cluster.worker_server import listening
from toprung.search.driver.dispatcher import Desk
from toprung.search.strategy.strategy import Decision
from toprung.spaces.errors import InputError
from toprung.trainables.trial.messages import Answer, EpochResult, Order, Told, TrialStart, Worker
from toprung.trainables.trial.report import EpochReport
from toprung.trainables.worker.connection import Address, Line, LineBrokenError, call


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


def desk_of(loop: Any, most_ahead: int = 0, max_failures: int = 0) -> Desk:
    return Desk(loop, most_ahead, max_failures)


def told(trial_id: str, epoch: int = 1, outgrown: bool = False) -> Told:
    return Told(trial_id, EpochResult(EpochReport(trial_id, epoch)), Worker("node", 1, outgrown))


def name_of(answer: Answer) -> str:
    return answer.name if isinstance(answer, Order) else answer.trial_id


class Caller:
    """A worker's end."""

    def __init__(self, address: Address, seat: str) -> None:
        self.line = call(address)
        self.answer: Answer = self.line.ask(seat)

    def tell(self, trial_id: str, epoch: int = 1, outgrown: bool = False) -> str:
        return name_of(self.line.ask(told(trial_id, epoch, outgrown)))


@contextmanager
def served(desk: Desk) -> Iterator[Address]:
    with listening("127.0.0.1", desk.serve) as address:
        yield address
        desk.close()


def test_a_worker_trains_one_trial_after_the_other_until_there_are_none() -> None:
    desk = desk_of(FewTrials(2, epochs=2))
    assert desk.open("a")
    with served(desk) as address:
        worker = Caller(address, "a")
        assert name_of(worker.answer) == "t00000"
        told_next = [worker.tell("t00000", 1), worker.tell("t00000", 2), worker.tell("t00001", 2)]
        assert told_next == ["GO_ON", "t00001", "GO_HOME"]
    assert not desk.finished, "its worker has not left"
    desk.leave("a", died=False)
    assert desk.finished


def test_a_seat_is_opened_only_where_there_is_a_trial_for_it() -> None:
    desk = desk_of(FewTrials(2))
    assert [desk.open(seat) for seat in "abc"] == [True, True, False]
    assert desk.seats == 2


def test_a_trial_whose_worker_died_is_taken_up_by_the_next_one_and_lost_after_its_retries() -> None:
    loop = FewTrials(1)
    desk = desk_of(loop, max_failures=2)
    for seat in "abc":
        assert desk.open(seat), "tried again"
        assert not desk.finished
        desk.leave(seat, died=True)
    assert loop.lost_trials == ["t00000"]
    assert not desk.open("d") and desk.finished


def test_each_trial_has_its_own_retries() -> None:
    loop = FewTrials(2)
    desk = desk_of(loop, max_failures=1)
    desk.open("a")
    desk.leave("a", died=True)
    desk.open("b")
    assert name_of(desk.report("b", told("t00000"))) == "t00001"
    desk.leave("b", died=True)
    assert loop.lost_trials == [], "t00001 died for the first time"
    assert desk.open("c")


def test_a_worker_that_has_outgrown_its_share_goes_home_between_two_trials() -> None:
    desk = desk_of(FewTrials(2, epochs=2))
    desk.open("a")
    assert name_of(desk.report("a", told("t00000", 1, outgrown=True))) == "GO_ON"
    assert name_of(desk.report("a", told("t00000", 2, outgrown=True))) == "GO_HOME"
    desk.leave("a", died=False)
    assert desk.open("b"), "another worker takes the next trial"
    assert name_of(desk.report("b", told("t00001", 2))) == "GO_HOME"


def test_a_result_of_a_worker_given_up_is_not_taken() -> None:
    loop = FewTrials(2)
    desk = desk_of(loop, max_failures=1)
    desk.open("a")
    desk.leave("a", died=True)
    assert name_of(desk.report("a", told("t00000"))) == "GO_HOME"
    assert loop.left == 1, "it was not told another trial either"


def test_a_worker_with_nothing_to_do_waits_for_what_the_others_end() -> None:
    loop = FewTrials(2)
    loop.finished_when_open = False
    desk = desk_of(loop)
    desk.open("a"), desk.open("b")
    with served(desk) as address:
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
        assert answers == ["t00002", "GO_HOME"]
    assert loop.asked == 3, "the promoted trial was given out once"


def test_a_trial_whose_worker_never_came_is_neither_lost_nor_waited_for() -> None:
    desk = desk_of(FewTrials(2))
    desk.open("a"), desk.open("b")
    with served(desk) as address:
        worker = Caller(address, "a")
        desk.leave("b", died=True)
        assert desk.open("c"), "its node was no good; and there is no room for this one"
        assert worker.tell("t00000") == "t00001"
        assert name_of(Caller(address, "c").answer) == "GO_HOME", "it comes too late"


def test_the_next_trial_is_proposed_while_all_workers_train() -> None:
    loop = FewTrials(5, epochs=2)
    desk = desk_of(loop, most_ahead=2)
    desk.open("a")
    with served(desk) as address:
        worker = Caller(address, "a")
        assert worker.tell("t00000", 1) == "GO_ON"
        assert worker.tell("t00000", 1) == "GO_ON"
        assert loop.asked == 2, "one ahead, and no more"
        assert worker.tell("t00000", 2) == "t00001"


def test_a_worker_alone_is_proposed_nothing_ahead() -> None:
    loop = FewTrials(5, epochs=2)
    desk = desk_of(loop)
    desk.open("a")
    with served(desk) as address:
        Caller(address, "a").tell("t00000", 1)
        assert loop.asked == 1


def test_what_goes_wrong_at_the_desk_is_raised_to_whoever_runs_the_search() -> None:
    class Broken(FewTrials):
        def report(self, *_: object) -> Decision:
            raise ZeroDivisionError("in the sampler")

    desk = desk_of(Broken(2))
    desk.open("a"), desk.open("b")
    desk.check()
    with served(desk) as address:
        worker, other = Caller(address, "a"), Caller(address, "b")
        with pytest.raises(LineBrokenError):
            worker.tell("t00000")
        assert other.tell("t00001") == "GO_HOME", "so that the search can end"
    with pytest.raises(ZeroDivisionError, match="in the sampler"):
        desk.check()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_worker_that_dies_in_the_middle_of_a_message_is_gone_and_the_others_go_on(share: float) -> None:
    desk = desk_of(FewTrials(3), max_failures=1)
    desk.open("a"), desk.open("b")
    with served(desk) as address:
        dying, other = Caller(address, "a"), Caller(address, "b")
        message = pickle.dumps(told("t00000"))
        dying.line._file.write(message[: int(share * len(message))])
        dying.line._file.flush()
        dying.line.close()
        time.sleep(0.1)
        assert other.tell("t00001") == "t00002"
    desk.check()


def test_workers_that_never_reach_the_desk_end_the_search_instead_of_every_trial() -> None:
    desk = desk_of(FewTrials(100), max_failures=3)
    for number in range(5):
        desk.check()
        desk.open(str(number))
        desk.leave(str(number), died=True)
    with pytest.raises(Exception, match="TOPRUNG_PORT"):
        desk.check()


def test_many_workers_at_once_train_every_trial_once() -> None:
    loop = FewTrials(400, epochs=3)
    desk, seen = desk_of(loop, most_ahead=8), []
    for seat in range(8):
        desk.open(str(seat))

    with served(desk) as address:
        threads = [threading.Thread(target=train_all, args=(address, str(seat), seen)) for seat in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(seen) == [f"t{number:05d}" for number in range(400)]


def train_all(address: Address, seat: str, seen: list[str]) -> None:
    """A worker's whole life, three epochs a trial."""
    worker = Caller(address, seat)
    answer = worker.answer
    while isinstance(answer, TrialStart):
        seen.append(answer.trial_id)
        start, answer = answer, Order.GO_ON
        for epoch in (1, 2, 3):
            assert answer is Order.GO_ON
            answer = worker.line.ask(told(start.trial_id, epoch))
    worker.line.close()


def test_nothing_is_unpickled_for_a_stranger() -> None:
    desk = desk_of(FewTrials(1))
    desk.open("a")
    with served(desk) as address:
        stranger = call(Address(address.host, address.port, bytes(len(address.key))))
        with pytest.raises(LineBrokenError):
            stranger.ask("a")
        assert name_of(Caller(address, "a").answer) == "t00000"


def test_a_long_message_arrives_whole() -> None:
    def echo(line: Line) -> None:
        line.send(line.receive())

    long = [float(number) for number in range(200_000)]
    with listening("127.0.0.1", echo) as address:
        assert call(address).ask(long) == long


def test_a_driver_that_cannot_be_reached_says_what_to_do() -> None:
    with listening("127.0.0.1", lambda line: None) as address:
        pass
    with pytest.raises(LineBrokenError, match="TOPRUNG_PORT"):
        call(address)


def test_the_lines_are_cut_when_the_driver_stops_listening() -> None:
    with listening("127.0.0.1", lambda line: line.receive()) as address:
        line = call(address)
        time.sleep(0.05)
    with pytest.raises(LineBrokenError):
        line.receive()


@pytest.mark.parametrize("given", ["abc", "-1", "70000", ""])
def test_a_port_that_is_none_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TOPRUNG_PORT", given)
    with pytest.raises(InputError, match=r"TOPRUNG_PORT.*65535"), listening("127.0.0.1", lambda line: None):
        pass
