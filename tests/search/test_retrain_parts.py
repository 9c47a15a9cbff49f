"""A winner whose batches did not fit is retrained in the parts that did."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from search.retrain import parts_of_batches


@pytest.mark.parametrize(
    ("micro_batch_size", "config", "parts"),
    [(32, {"batch_size": 64}, 2), (9, {"batch_size": 65}, 8), (pd.NA, {"batch_size": 64}, 1), (4, {}, 1)],
)
def test_the_parts_of_the_winners_batches_are_read_from_its_row(
    micro_batch_size: Any, config: dict[str, int], parts: int
) -> None:
    sizes = pd.array([pd.NA, micro_batch_size], dtype="Int64")
    trials = pd.DataFrame({"trial_id": ["t00000", "t00001"], "micro_batch_size": sizes})
    winner: Any = SimpleNamespace(trial_id="t00001", config=config)
    assert parts_of_batches(trials, winner) == parts
    assert parts_of_batches(trials.drop(columns="micro_batch_size"), winner) == 1, (
        "rows of an earlier version"
    )
