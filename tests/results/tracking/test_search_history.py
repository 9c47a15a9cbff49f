"""What MLflow shows of a whole search is what the leaderboard and the tables say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results.conftest import START, Search
from toprung.results.analysis.leaderboard import progress
from toprung.results.tables.rows import config_of, rows_table
from toprung.results.tables.schema import kinds_of, run_schemas
from toprung.results.tracking.search_history import SearchFacts, SearchHistory
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import Outcome

ACCURACY = Objective("val_accuracy", "max")
VALUES = st.lists(st.sampled_from([0.25, 0.5, 0.75, float("nan"), float("inf")]), min_size=1, max_size=4)
TRIALS = st.lists(st.tuples(VALUES, st.sampled_from([None, *Outcome])), min_size=1, max_size=6)


def facts_of(search: Any) -> SearchFacts:
    history = SearchHistory(ACCURACY)
    for table, rows in search.rows.items():
        for row in rows:
            history.add(table, row)
    return history.facts()


@given(TRIALS)
def test_the_best_value_is_the_leaders(trials: list[tuple[list[float], Outcome | None]]) -> None:
    search = Search()
    for values, outcome in trials:
        search.trial(values, outcome)
    schemas = run_schemas(kinds_of(map(config_of, search.rows["proposals"])))
    frames = [
        rows_table(search.rows[table], schemas[table]).to_pandas()
        for table in ("proposals", "epochs", "trials")
    ]
    leader, best = progress(*frames, ACCURACY).leader, facts_of(search).best
    assert (best and (best.trial_id, best.value, best.epoch)) == (
        leader and (leader.trial_id, leader.value, leader.epoch)
    )


def test_a_search_lasts_from_its_first_row_to_its_last(search) -> None:
    search.trial([0.5, 0.75, 0.5])
    search.trial([0.5], None)
    facts = facts_of(search)
    assert (facts.started_at, facts.last_at) == (START, START + timedelta(seconds=3))
    assert (facts.proposed, facts.ended, facts.epochs) == (2, 1, 4)
    assert facts.outcomes == {Outcome.COMPLETED: 1}


def test_a_search_without_rows_has_neither_times_nor_a_best() -> None:
    facts = SearchHistory(ACCURACY).facts()
    assert (facts.started_at, facts.last_at, facts.best, facts.ended) == (None, None, None, 0)


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_less_is_better_where_the_metric_says_so(search, metric: str) -> None:
    search.trial([0.5, 0.75, 0.25])
    history = SearchHistory(Objective.named(metric))
    for row in search.rows["epochs"]:
        history.add("epochs", row)
    best = history.facts().best
    assert best is not None
    assert (best.epoch, best.value) == (2, {"val_accuracy": 0.75, "val_loss": 0.25}[metric])
