"""Best so far and rungs, from made-up tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_epochs import START, epochs_of

from toprung.results.analysis.incumbents import incumbents
from toprung.results.analysis.rung_table import rung_table
from toprung.trainables.trial.objectives import Objective


def trials_of(**outcomes: str) -> pd.DataFrame:
    return pd.DataFrame({"trial_id": list(outcomes), "outcome": list(outcomes.values())})


@given(
    st.lists(
        st.one_of(st.floats(0, 1), st.just(float("nan")), st.just(float("inf"))), min_size=1, max_size=40
    )
)
def test_the_best_so_far_only_gets_better_and_ends_with_the_last_report(values: list[float]) -> None:
    for mode, sign in (("max", 1.0), ("min", -1.0)):
        found = incumbents(epochs_of(list(values)), trials_of(), Objective("val_accuracy", mode))  # type: ignore[arg-type]
        finite = [value for value in values if np.isfinite(value)]
        if not finite:
            assert found.empty
            continue
        scores = sign * found["value"]
        assert scores.is_monotonic_increasing and found["epochs"].is_monotonic_increasing
        assert found["value"].iloc[-1] == (max if mode == "max" else min)(finite)
        assert found["epochs"].iloc[-1] == len(values)
        assert found["hours"].iloc[-1] == pytest.approx(len(values) / 3600)


def test_a_trial_that_diverged_is_no_best() -> None:
    epochs = epochs_of([0.5, 0.9, 0.6], ["t00000", "t00001", "t00002"])
    found = incumbents(epochs, trials_of(t00001="DIVERGED"), Objective("val_accuracy", "max"))
    assert found["trial_id"].tolist() == ["t00000", "t00002"]


def test_the_rungs_are_told_as_they_are_now_with_the_moment_of_the_last_change() -> None:
    facts = {"passed": 1, "threshold": 0.5, "next_rank_correlation": None, "last_rank_correlation": None}
    moments = [pd.Timestamp(START) + pd.Timedelta(i, "h") for i in range(5)]
    rows = [
        {
            "event_index": i,
            "rung_epoch": rung,
            "results": i,
            "first_rung_epoch": first,
            "decided_at": moment,
            **facts,
        }
        for i, (rung, first, moment) in enumerate(zip([1, 3, 1, 3, 1], [1, 1, 3, 3, 1], moments, strict=True))
    ]
    table = rung_table(pd.DataFrame(rows))
    assert table["rung_epoch"].tolist() == [1, 3] and table["results"].tolist() == [4, 3]
    assert table["in_use"].tolist() == [True, True]
    assert table["since"].iloc[0] == moments[4] and pd.isna(table["since"].iloc[1])
    passed_over = rung_table(pd.DataFrame(rows[:4]))
    assert passed_over["in_use"].tolist() == [False, True]
    assert passed_over["since"].iloc[0] == moments[2]
