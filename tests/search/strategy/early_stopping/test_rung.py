"""A rung's results in order, and the epochs that have a rung."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.search.strategy.early_stopping.rung import Rung, milestone, rung_epochs

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5 + 1e-12, 2.0]), min_size=1, max_size=40)


def test_rungs_are_powers_of_the_factor_and_the_full_training() -> None:
    assert rung_epochs(50, 3) == (1, 3, 9, 27, 50)
    assert rung_epochs(27, 3) == (1, 3, 9, 27)
    assert rung_epochs(16, 4, min_epochs=2) == (2, 8, 16)
    assert rung_epochs(1, 3) == (1,)


def test_milestones_grow_by_a_quarter() -> None:
    assert [milestone(count) for count in (0, 3, 4, 5, 9, 10, 11, 12)] == [0, 0, 4, 5, 8, 10, 10, 12]


@given(SCORES)
def test_a_rung_ranks_by_score_and_equal_scores_by_trial_number(scores: list[float]) -> None:
    rung = Rung(1)
    for number, score in enumerate(scores):
        rung.add(number, score)
    order = sorted(range(len(scores)), key=lambda number: (-scores[number], number))
    assert list(rung.best_first()) == order
    assert [rung.score_at(rank) for rank in range(len(scores))] == [scores[number] for number in order]
    assert [rung.rank(number, scores[number]) for number in order] == list(range(len(scores)))


@given(SCORES)
def test_a_rung_made_at_once_equals_one_that_was_filled(scores: list[float]) -> None:
    filled = Rung(1)
    for number, score in enumerate(scores):
        filled.add(number, score)
    made = Rung.of(1, dict(enumerate(scores)))
    assert list(made.best_first()) == list(filled.best_first())
    assert [made.score_at(rank) for rank in range(len(made))] == [
        filled.score_at(rank) for rank in range(len(filled))
    ]


@given(SCORES, st.data())
def test_a_rung_forgets_a_removed_trial_and_knows_what_it_knew(
    scores: list[float], data: st.DataObject
) -> None:
    rung = Rung.of(1, dict(enumerate(scores)))
    removed = data.draw(st.lists(st.sampled_from(range(len(scores))), unique=True, max_size=len(scores)))
    for number in removed:
        rung.remove(number)
    left = {number: score for number, score in enumerate(scores) if number not in removed}
    assert list(rung.best_first()) == list(Rung.of(1, left).best_first())
    assert rung.known_at(len(scores), 0) == [dict(enumerate(scores))]
    assert rung.known_at(len(scores), len(removed)) == [left]
    assert rung.known_at(2, 0) == [dict(enumerate(scores[:2]))]


def test_a_rung_of_one_objective_refuses_a_tuple_of_scores() -> None:
    with pytest.raises(TypeError, match="takes one score"):
        Rung(1).add(0, (0.5, 0.7))
