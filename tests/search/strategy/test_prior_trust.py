"""How far a first configuration is trusted: by the random trials that it beats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.prior_trust import trust_in
from toprung.search.strategy.surrogate.evidence import Evidence


def evidence(scores: dict[int, float], **others: Any) -> Evidence:
    known = {"prior": [], "first_rung": 1, "points": {}, "running": [], "failed": {}, **others}
    return Evidence([Rung.of(1, scores)], **known)


def test_a_first_configuration_is_trusted_until_there_is_something_to_compare_it_with() -> None:
    assert trust_in(0, [], evidence({})) == 1.0
    assert trust_in(0, [3, 6], evidence({3: 1.0, 6: 2.0})) == 1.0, "it has not reached the rung yet"
    assert trust_in(0, [3, 6], evidence({0: -5.0})) == 1.0, "no other has"


@pytest.mark.parametrize(
    ("score", "trust"),
    [(9.0, 1.0), (2.5, 3 / 5), (2.0, 2.5 / 5), (0.0, 1 / 5)],
)
def test_it_is_trusted_as_far_as_it_beats_random_trials(score: float, trust: float) -> None:
    scores = {0: score, 1: 99.0, 3: 1.0, 6: 2.0, 9: 3.0, 12: 4.0}
    assert trust_in(0, [3, 6, 9, 12], evidence(scores)) == pytest.approx(trust)


def test_one_that_failed_is_worse_than_any() -> None:
    assert trust_in(0, [3, 6], evidence({3: 1.0, 6: 2.0}, failed={0: 1})) == pytest.approx(1 / 3)


@given(st.floats(-1, 1), st.lists(st.floats(-1, 1), max_size=20))
def test_a_better_result_never_lowers_the_trust(score: float, others: list[float]) -> None:
    scores = dict(enumerate(others, start=1))
    trusts = [trust_in(0, scores, evidence({0: value, **scores})) for value in (score, score + 0.5)]
    assert 0.0 < trusts[0] <= trusts[1] <= 1.0
