"""The Pareto set of a table."""

from __future__ import annotations

import math

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.analysis.pareto_front import front
from toprung.trainables.trial.objectives import Objective, Objectives

OBJECTIVES = Objectives(
    (Objective("accuracy", "max"), Objective("parameters", "min"), Objective("latency", "min"))
)
VALUES = st.one_of(st.integers(0, 4).map(float), st.just(math.nan), st.just(math.inf))
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=25)


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """By the definition: as good in everything, better in something."""
    gains = [one[0] - other[0], other[1] - one[1], other[2] - one[2]]
    return min(gains) >= 0 and max(gains) > 0


@given(ROWS)
def test_the_front_is_what_no_other_row_beats(rows: list[tuple[float, ...]]) -> None:
    measured = [row for row in rows if all(map(math.isfinite, row))]
    expected = [row in measured and not any(beats(other, row) for other in measured) for row in rows]
    assert front(pd.DataFrame(rows, columns=list(OBJECTIVES.metrics)), OBJECTIVES).tolist() == expected


def test_equal_rows_stand_side_by_side() -> None:
    board = pd.DataFrame([(0.9, 10.0, 1.0)] * 2, columns=list(OBJECTIVES.metrics))
    assert front(board, OBJECTIVES).tolist() == [True, True]
