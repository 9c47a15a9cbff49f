"""Trials are proposed ahead of the workers that will train them: no later than needed, and no more than needed."""

from __future__ import annotations

from toprung.search.driver.proposal_queue import ProposalQueue
from toprung.trainables.trial.messages import TrialStart


class Numbered:
    """A search loop of `count` trials."""

    def __init__(self, count: int) -> None:
        self.count, self.asked, self.finished = count, 0, False
        self.begun: list[int] = []
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def propose(self) -> TrialStart | None:
        if self.asked == self.count:
            return None
        self.asked += 1
        return TrialStart(f"t{self.asked - 1:05d}", self.asked - 1, 0, {})

    def begin(self, start: TrialStart) -> None:
        self.begun.append(start.number)

    def next_trial(self) -> TrialStart | None:
        start = self.propose()
        if start is not None:
            self.begin(start)
        return start


def taken(ahead: ProposalQueue, times: int = 1, is_awaited: bool = True) -> list[int | None]:
    """The numbers of the trials taken in a row."""
    starts = [ahead.take(is_awaited) for _ in range(times)]
    return [None if start is None else start.number for start in starts]


def prepared(ahead: ProposalQueue, loop: Numbered) -> int:
    """How many are proposed while workers train."""
    before = loop.asked
    for _ in range(10):
        ahead.prepare()
    return loop.asked - before


def test_one_trial_is_proposed_while_workers_train() -> None:
    loop = Numbered(10)
    ahead = ProposalQueue(loop, most=8)
    assert taken(ahead, 4, is_awaited=False) == [0, 1, 2, 3]
    assert prepared(ahead, loop) == 1
    assert loop.prepared == 10  # looked at each time: what a proposal begins with may be due without one
    assert loop.begun == [0, 1, 2, 3]
    assert taken(ahead) == [4]
    assert loop.begun == [0, 1, 2, 3, 4]


def test_one_more_is_proposed_for_each_worker_that_found_none_up_to_the_most() -> None:
    loop = Numbered(100)
    ahead = ProposalQueue(loop, most=3)
    prepared(ahead, loop)
    assert taken(ahead, 2) == [0, 1]
    assert prepared(ahead, loop) == 2
    assert taken(ahead, 6) == [2, 3, 4, 5, 6, 7]
    assert prepared(ahead, loop) == 3
    assert taken(ahead, 5) == [8, 9, 10, 11, 12]


def test_a_worker_alone_gets_proposals_made_from_all_that_is_known() -> None:
    loop = Numbered(3)
    ahead = ProposalQueue(loop, most=0)
    for number in range(3):
        assert prepared(ahead, loop) == 0
        assert taken(ahead) == [number]
    assert taken(ahead) == [None]


def test_what_was_proposed_ahead_is_started_though_nothing_is_left_to_propose() -> None:
    loop = Numbered(1)
    ahead = ProposalQueue(loop, most=1)
    prepared(ahead, loop)
    assert taken(ahead, 2) == [0, None]


def test_what_was_made_ahead_is_not_started_once_a_limit_is_reached() -> None:
    loop = Numbered(10)
    ahead = ProposalQueue(loop, most=3)
    prepared(ahead, loop)
    loop.finished = True
    assert taken(ahead) == [None]
    assert loop.begun == []
