"""Trials are proposed in advance of the workers that will train them: no later and no more than needed."""

from __future__ import annotations

from typing import Any

from toprung.search.loop.proposal_queue import ProposalQueue


def taken(queue: ProposalQueue, times: int = 1, worker_is_idle: bool = True) -> list[int | None]:
    """The numbers of the trials taken in a row."""
    starts = [queue.take(worker_is_idle) for _ in range(times)]
    return [None if start is None else start.number for start in starts]


def filled(queue: ProposalQueue, loop: Any) -> int:
    """How many are proposed while workers train."""
    before = loop.proposed
    for _ in range(10):
        queue.fill()
    return loop.proposed - before


def test_one_trial_is_proposed_while_workers_train(fake_loop) -> None:
    loop = fake_loop(10)
    queue = ProposalQueue(loop, max_size=8)
    assert taken(queue, 4, worker_is_idle=False) == [0, 1, 2, 3]
    assert filled(queue, loop) == 1
    assert loop.prepared == 10, "each time: what a proposal begins with may be due without a proposal"
    assert loop.begun == [0, 1, 2, 3]
    assert taken(queue) == [4]
    assert loop.begun == [0, 1, 2, 3, 4]


def test_one_more_is_proposed_for_each_worker_that_found_none_up_to_the_most(fake_loop) -> None:
    loop = fake_loop(100)
    queue = ProposalQueue(loop, max_size=3)
    filled(queue, loop)
    assert taken(queue, 2) == [0, 1]
    assert filled(queue, loop) == 2
    assert taken(queue, 6) == [2, 3, 4, 5, 6, 7]
    assert filled(queue, loop) == 3
    assert taken(queue, 5) == [8, 9, 10, 11, 12]


def test_a_worker_alone_gets_proposals_made_from_all_that_is_known(fake_loop) -> None:
    loop = fake_loop(3)
    queue = ProposalQueue(loop, max_size=0)
    for number in range(3):
        assert filled(queue, loop) == 0
        assert taken(queue) == [number]
    assert taken(queue) == [None]


def test_what_was_proposed_in_advance_is_started_though_nothing_is_left_to_propose(fake_loop) -> None:
    loop = fake_loop(1)
    queue = ProposalQueue(loop, max_size=1)
    filled(queue, loop)
    assert taken(queue, 2) == [0, None]


def test_what_was_proposed_in_advance_is_not_started_once_a_limit_is_reached(fake_loop) -> None:
    loop = fake_loop(10)
    queue = ProposalQueue(loop, max_size=3)
    filled(queue, loop)
    loop.limit_reached = True
    assert taken(queue) == [None]
    assert loop.begun == []
