"""A search has failed if all its trials failed; the commonest reasons are named."""

from __future__ import annotations

import pandas as pd
import pytest

from toprung.search.driver.search_failure import all_failed_reason
from toprung.trainables.trial.report import Outcome

BROKEN = (Outcome.FAILED, None, "ValueError: my own error")


def trials(*rows: tuple[Outcome, float | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["outcome", "best_val_accuracy", "reason"])


def test_the_commonest_reasons_are_named_where_every_trial_failed() -> None:
    other = [
        (Outcome.DIVERGED, 0.5, "epoch 2 reported"),
        (Outcome.OOM, None, "no room"),
        (Outcome.OOM, None, "no room"),
    ]
    reason = all_failed_reason(trials(BROKEN, *other, BROKEN, BROKEN), "val_accuracy")
    assert reason == (
        "all 6 trials failed: 3 x FAILED, ValueError: my own error; 2 x OOM, no room; "
        "once that is mended, the same command with --retry-failed tries them again"
    )


@pytest.mark.parametrize("outcome", [Outcome.PREEMPTED, Outcome.TIMEOUT])
def test_a_trial_that_lost_its_worker_has_failed_unless_it_has_a_value(outcome: Outcome) -> None:
    assert all_failed_reason(trials(BROKEN, (outcome, None, "its worker died")), "val_accuracy")
    assert all_failed_reason(trials(BROKEN, (outcome, 0.1, "its worker died")), "val_accuracy") is None


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [BROKEN, (Outcome.STOPPED, None, "never started: wall_clock_hours")],
        [BROKEN, (Outcome.COMPLETED, 0.1, "trained all 3 epochs")],
    ],
)
def test_a_search_with_a_trial_that_did_not_fail_has_not_failed(
    rows: list[tuple[Outcome, float | None, str]],
) -> None:
    assert all_failed_reason(trials(*rows), "val_accuracy") is None
