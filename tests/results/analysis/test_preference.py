"""A cheaper configuration takes the place of the best only within its noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.analysis.preference import Candidate, cheapest, cost_in_words, costs_of
from toprung.results.tables.rows import rows_table
from toprung.results.tables.schema import run_schemas
from toprung.trainables.trial.objectives import Objective

if TYPE_CHECKING:
    from toprung.results.analysis.preference import Choice

ACCURACY, LOSS = Objective.named("val_accuracy"), Objective.named("val_loss")
costs = st.one_of(st.floats(1, 1e9), st.just(math.nan))
values = st.floats(0, 1)


def choice(rows: list[tuple[float, float]], objective: Objective, error: float) -> Choice:
    ordered = sorted(rows, key=lambda row: -objective.score(row[0]))
    candidates = [Candidate(f"t{number:05d}", *row) for number, row in enumerate(ordered)]
    return cheapest(candidates, objective, error)


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
@given(rows=st.lists(st.tuples(values, costs), min_size=1, max_size=12), error=st.floats(0, 0.3))
def test_the_chosen_one_is_within_the_noise_and_none_of_those_is_cheaper(
    objective: Objective, rows: list[tuple[float, float]], error: float
) -> None:
    found = choice(rows, objective, error)
    behind = objective.score(found.best.value) - objective.score(found.chosen.value)
    assert 0.0 <= behind <= error * (1 + 1e-9) + 1e-12
    limit = objective.score(found.best.value) - error
    inside = [cost for value, cost in rows if objective.score(value) >= limit and not math.isnan(cost)]
    if inside:
        assert found.chosen.cost == min(inside)
    else:
        assert found.chosen == found.best


def test_of_equally_cheap_ones_the_best_is_chosen_and_without_noise_the_best_of_all() -> None:
    rows = [(0.9, 50.0), (0.89, 10.0), (0.88, 10.0), (0.5, 1.0)]
    assert choice(rows, ACCURACY, 0.03).chosen == Candidate("t00001", 0.89, 10.0)
    assert choice(rows, ACCURACY, 0.03).within == 3
    assert choice(rows, ACCURACY, 0.0).chosen.trial_id == "t00000"


def test_costs_are_parameters_of_the_rows_and_median_seconds_of_the_epochs(search: Any) -> None:
    search.trial([0.5, 0.6, 0.7])
    search.trial([0.5])
    search.rows["trials"][1]["parameter_count"] = None
    for row, secs in zip(search.rows["epochs"], [9.0, 1.0, 2.0, 4.0], strict=True):
        row["epoch_secs"] = secs
    schemas = run_schemas({})
    trials, epochs = (
        rows_table(search.rows[name], schemas[name]).to_pandas() for name in ("trials", "epochs")
    )
    assert costs_of("smallest", trials, epochs) == {"t00000": 1234.0}
    assert costs_of("fastest", trials, epochs) == {"t00000": 2.0, "t00001": 4.0}
    assert cost_in_words("smallest", 1234.0) == "1,234 parameters"
    assert cost_in_words("fastest", 0.12345) == "0.123 s an epoch"
