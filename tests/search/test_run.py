"""When a search as a whole has failed, from its table of trials alone."""

from __future__ import annotations

import pandas as pd
import pytest

from search.run import why_all_failed
from trainables.report import Outcome

BROKEN = (Outcome.FAILED, None, "ValueError: my own error")


def trials(*rows: tuple[Outcome, float | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["outcome", "best_val_accuracy", "reason"])


def test_the_commonest_reasons_are_told_where_every_trial_failed() -> None:
    other = [
        (Outcome.DIVERGED, 0.5, "epoch 2 reported"),
        (Outcome.OOM, None, "no room"),
        (Outcome.OOM, None, "no room"),
    ]
    told = why_all_failed(trials(BROKEN, *other, BROKEN, BROKEN), "val_accuracy")
    assert told == "all 6 trials failed: 3 x FAILED, ValueError: my own error; 2 x OOM, no room"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [BROKEN, (Outcome.STOPPED, None, "never started: wall_clock_hours")],
        [BROKEN, (Outcome.COMPLETED, 0.1, "trained all 3 epochs")],
        [BROKEN, (Outcome.PREEMPTED, 0.1, "its worker died")],
    ],
)
def test_a_search_with_a_trial_that_did_not_fail_has_not_failed(
    rows: list[tuple[Outcome, float | None, str]],
) -> None:
    assert why_all_failed(trials(*rows), "val_accuracy") is None
