"""A search lets workers go for another that has less than its share, and for none that they cannot help."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.cluster.placements import JobPlacement
from toprung.search.workers.fair_share import (
    HELD_FREE_SECS,
    LOOK_EVERY_SECS,
    PATIENCE_SECS,
    TURN_SECS,
    FairShare,
)

CPU = {"CPU": 1.0}
GPU = {"CPU": 1.0, "GPU": 1.0}


class Cluster:
    """Room for some workers, given to searches in the order in which they asked, as Ray does."""

    def __init__(self, room: int, **wanted: int) -> None:
        self.now_secs, self.room, self.wanted = 0.0, room, wanted
        self.placed = dict.fromkeys(wanted, 0)
        self.shares = {name: self.share(name) for name in wanted}
        self.queue: list[str] = []

    def share(self, name: str, has_gpus: bool = False) -> FairShare:
        return FairShare(name, has_gpus, self.look, lambda: self.now_secs)

    def look(self) -> dict[str, JobPlacement]:
        return {name: JobPlacement(self.placed[name], (CPU,) * (name in self.queue)) for name in self.wanted}

    def step(self) -> None:
        """Every search looks, and what it lets go is given to who waits for the longest."""
        self.now_secs += LOOK_EVERY_SECS
        for name, share in self.shares.items():
            limit = min(share.limit, self.wanted[name])
            self.placed[name] = int(min(self.placed[name], limit))
            if self.placed[name] >= limit:
                self.queue = [other for other in self.queue if other != name]
            elif name not in self.queue:
                self.queue.append(name)
            self.place()

    def place(self) -> None:
        while self.queue and sum(self.placed.values()) < self.room:
            name = self.queue[0]
            self.placed[name] += 1
            if self.placed[name] >= min(self.shares[name].limit, self.wanted[name]):
                self.queue.pop(0)

    def run(self, secs: float) -> Iterator[dict[str, int]]:
        until_secs = self.now_secs + secs
        while self.now_secs < until_secs:
            self.step()
            yield dict(self.placed)


def last(states: Iterator[dict[str, int]]) -> dict[str, int]:
    return list(states)[-1]


def test_a_search_alone_keeps_all_its_workers() -> None:
    assert last(Cluster(4, a=9).run(1000)) == {"a": 4}


def test_two_searches_come_to_half_the_room_each() -> None:
    cluster = Cluster(4, a=9, b=0)
    cluster.step()
    cluster.wanted["b"] = 9
    assert last(cluster.run(PATIENCE_SECS - LOOK_EVERY_SECS)) == {"a": 4, "b": 0}, (
        "nodes may be joining for it"
    )
    assert last(cluster.run(60)) == {"a": 2, "b": 2}
    assert last(cluster.run(1000)) == {"a": 2, "b": 2}
    cluster.wanted["b"] = 0
    assert last(cluster.run(10)) == {"a": 4, "b": 0}


def test_a_search_that_wants_less_than_its_share_gets_that() -> None:
    cluster = Cluster(4, a=9, b=0)
    cluster.step()
    cluster.wanted["b"] = 1
    assert last(cluster.run(200)) == {"a": 3, "b": 1}


def test_searches_take_turns_where_there_is_room_for_one_worker() -> None:
    cluster = Cluster(1, a=1, b=1)
    turns = [max(placed, key=lambda name: placed[name]) for placed in cluster.run(4 * TURN_SECS)]
    changes = sum(one != other for one, other in pairwise(turns))
    assert set(turns) == {"a", "b"} and 2 <= changes <= 4


@given(room=st.integers(1, 6), wanted=st.lists(st.integers(1, 8), min_size=2, max_size=4))
def test_no_search_starves(room: int, wanted: list[int]) -> None:
    cluster = Cluster(room, **{f"search{number}": count for number, count in enumerate(wanted)})
    for name in list(cluster.wanted)[1:]:
        cluster.wanted[name] = 0
    cluster.step()
    cluster.wanted.update({f"search{number}": count for number, count in enumerate(wanted)})
    ever = dict.fromkeys(cluster.wanted, 0)
    for placed in cluster.run(TURN_SECS * 3 * len(wanted)):
        ever = {name: max(most, placed[name]) for name, most in ever.items()}
    assert all(ever.values())


@pytest.mark.parametrize(("has_gpus", "limit"), [(False, math.inf), (True, 1)])
def test_a_search_without_gpus_lets_no_worker_go_for_one_that_waits_for_a_gpu(
    has_gpus: bool, limit: float
) -> None:
    cluster = Cluster(0)
    table = {"a": JobPlacement(2), "b": JobPlacement(0, (GPU,))}
    share = FairShare("a", has_gpus, lambda: table, lambda: cluster.now_secs)
    assert share.limit == math.inf
    cluster.now_secs += PATIENCE_SECS + 1
    assert share.limit == limit


def test_who_is_not_helped_by_what_was_let_go_is_passed_over_for_a_while() -> None:
    cluster = Cluster(0)
    table = {"a": JobPlacement(2), "b": JobPlacement(0, ({"CPU": 16.0},))}
    share = FairShare("a", False, lambda: table, lambda: cluster.now_secs)
    limits = []
    for _ in range(int(TURN_SECS / LOOK_EVERY_SECS)):
        cluster.now_secs += LOOK_EVERY_SECS
        limits.append(share.limit)
        if share.limit < 2:
            table["a"] = JobPlacement(1)
    held = limits.count(1)
    assert PATIENCE_SECS / LOOK_EVERY_SECS <= limits.index(1) <= PATIENCE_SECS / LOOK_EVERY_SECS + 2
    assert HELD_FREE_SECS <= held * LOOK_EVERY_SECS <= HELD_FREE_SECS + 4 * LOOK_EVERY_SECS
    assert limits[-1] == math.inf


def test_nothing_is_asked_where_no_other_search_can_be() -> None:
    def look() -> dict[str, JobPlacement]:
        raise AssertionError("asked")

    share = FairShare("", False, look)
    assert share.limit == math.inf and share.placed is None


def test_the_workers_that_have_a_place_are_counted() -> None:
    assert FairShare("a", False, lambda: {"a": JobPlacement(2, (CPU,))}).placed == 2
