"""Rungs of several objectives: which trials dominate which, and what later scores change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toprung.search.strategy.early_stopping.asha import Decision, SuccessiveHalving
from toprung.search.strategy.early_stopping.pareto import ParetoRung

Pair = tuple[float, float]
PAIR = st.tuples(st.integers(0, 5), st.integers(0, 5))
PAIRS = st.lists(PAIR, min_size=1, max_size=30)


def rung_of(pairs: Sequence[Pair]) -> ParetoRung:
    rung = ParetoRung(1)
    for number, pair in enumerate(pairs):
        rung.add(number, tuple(map(float, pair)))
    return rung


def dominated_by(pair: Pair, others: Sequence[Pair]) -> int:
    return sum(a >= pair[0] and b >= pair[1] and (a, b) != pair for a, b in others)


@given(PAIRS)
def test_the_front_is_the_trials_that_no_other_dominates(pairs: list[tuple[int, int]]) -> None:
    rung = rung_of(pairs)
    dominators = [dominated_by(pair, pairs) for pair in pairs]
    assert rung.front() == [number for number, count in enumerate(dominators) if count == 0]
    order = list(rung.best_first())
    assert sorted(order) == list(range(len(pairs)))
    assert [dominators[number] for number in order] == sorted(dominators)
    assert [rung.rank(number, rung.score(number)) for number in order] == list(range(len(pairs)))
    assert all(
        rung.is_in_top(number, rung.score(number), places) == (rank < places)
        for rank, number in enumerate(order)
        for places in range(1, len(pairs) + 1)
    )
    assert [rung.score_at(rank) for rank in range(len(pairs))] == [
        -float(dominators[number]) for number in order
    ]


def test_a_rung_without_results_has_no_order_and_no_front() -> None:
    assert list(ParetoRung(1).best_first()) == ParetoRung(1).front() == []


@given(PAIRS, st.floats(0.0, 1.0))
def test_a_weighted_rung_is_ordered_by_its_scores_and_knows_each_objective(
    pairs: list[tuple[int, int]], weight: float
) -> None:
    rung = rung_of(pairs)
    weighted = rung.weighted(np.array([weight, 1.0 - weight]))
    order = list(weighted.best_first())
    assert order == sorted(weighted.scores, key=lambda number: (-weighted.scores[number], number))
    assert [weighted.score_at(rank) for rank in range(len(weighted))] == [weighted.scores[n] for n in order]
    assert list(weighted.latest(len(pairs))) == list(reversed(range(len(pairs))))
    assert [list(scores.values()) for scores in weighted.known_at(len(pairs), 0)] == [
        list(c) for c in zip(*pairs, strict=True)
    ]


@given(PAIRS, st.data())
def test_a_rung_forgets_a_removed_trial_and_knows_what_it_knew(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    rung = rung_of(pairs)
    removed = data.draw(st.lists(st.sampled_from(range(len(pairs))), unique=True, max_size=len(pairs)))
    for number in removed:
        rung.remove(number)
    left = [number for number in range(len(pairs)) if number not in removed]
    other = ParetoRung(1)
    for number in left:
        other.add(number, pairs[number])
    assert len(rung) == len(left)
    assert rung.numbers.tolist() == other.numbers.tolist()
    assert rung.dominators.tolist() == other.dominators.tolist()
    assert (list(rung.best_first()) if left else []) == list(other.best_first() if left else [])
    both = [dict(enumerate(column)) for column in zip(*pairs, strict=True)]
    assert rung.known_at(len(pairs), 0) == both
    if left:
        assert [list(scores) for scores in rung.known_at(len(pairs), len(removed))] == [left, left]


def test_of_equals_the_one_furthest_from_its_neighbours_comes_first() -> None:
    rung = rung_of([(0.0, 1.0), (0.05, 0.95), (0.6, 0.4), (1.0, 0.0), (0.95, 0.05)])
    assert rung.rank(2, rung.score(2)) == 0


def test_a_front_of_thousands_is_ordered_without_a_table_of_all_distances() -> None:
    count = 20_000  # the table would take six gigabytes
    rung = rung_of([(step, -step) for step in range(count)])
    assert sorted(rung.best_first()) == list(range(count))


@given(PAIRS, PAIR, st.data())
def test_a_trial_is_ranked_by_its_scores_at_the_rung_or_by_later_ones_that_fewer_dominate(
    pairs: list[Pair], later: Pair, data: st.DataObject
) -> None:
    rung = rung_of(pairs)
    number = data.draw(st.integers(0, len(pairs) - 1))
    others = [*pairs[:number], *pairs[number + 1 :]]
    fewest = min(dominated_by(pairs[number], others), dominated_by(later, others))
    assert rung.rank_score(number, tuple(map(float, later))) == -fewest
    assert rung.rank_score(number, tuple(map(float, pairs[number]))) == rung.score(number)


def test_a_trial_is_not_dominated_by_its_own_earlier_scores() -> None:
    rung = rung_of([(0.5, 0.5), (0.8, 0.8)])
    assert rung.rank_score(1, (0.7, 0.7)) == 0.0
    assert rung.rank_score(0, (0.9, 0.1)) == 0.0, "better in one objective is enough"
    assert rung.rank_score(0, (0.8, 0.7)) == -1.0
    assert rung.score(0) == -1.0, "a later score changes nothing at the rung"


def test_a_trial_that_has_caught_up_in_one_objective_goes_on() -> None:
    halving = SuccessiveHalving((2, 6, 18), 3, rung_type=ParetoRung)
    halving.report(0, 2, (0.5, 0.5))
    for number in (1, 2):
        halving.report(number, 2, (0.8, 0.8))
    assert halving.report(0, 4, (0.9, 0.1)) is None
    later = halving.report(0, 5, (0.6, 0.7))
    assert later is not None and later.decision is Decision.STOP
    assert later.score == -2.0, "both others dominate it"
