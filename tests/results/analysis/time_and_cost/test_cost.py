"""What failed and why, from made-up tables."""

from __future__ import annotations

import pandas as pd

from toprung.results.analysis.time_and_cost.cost import failures


def test_failures_of_one_kind_are_told_once() -> None:
    trials = pd.DataFrame(
        {
            "trial_id": ["t00000", "t00001", "t00002", "t00003"],
            "outcome": ["DIVERGED", "DIVERGED", "FAILED", "STOPPED"],
            "reason": ["epoch 3 reported NaN", "epoch 5 reported NaN", "ValueError", "cut"],
        }
    )
    found = failures(trials)
    assert found["trials"].tolist() == [2, 1] and found["latest"].tolist() == ["t00001", "t00002"]
