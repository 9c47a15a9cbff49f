"""What a retraining logs, and how it ends where it goes wrong."""

from __future__ import annotations

import math

import pytest

from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.winner.train_and_test import checked_epochs
from toprung.trainables.trial.messages import EpochResult
from toprung.trainables.trial.report import EpochReport, Outcome


def epoch(number: int, train_loss: float = 0.4, val_loss: float = 0.5) -> EpochResult:
    metrics = {"train_loss": train_loss, "train_accuracy": 0.5, "val_loss": val_loss}
    return EpochResult(EpochReport("winner", number, metrics))


def test_each_epoch_is_a_line_and_the_first_says_whether_it_is_from_a_saved_state() -> None:
    assert [each.line for each in checked_epochs([epoch(1), epoch(2)], "t00001", 2)] == [
        "epoch 1/2: train loss 0.4000, train accuracy 0.5000",
        "epoch 2/2: train loss 0.4000, train accuracy 0.5000",
    ]
    resumed, following = checked_epochs([epoch(5), epoch(6)], "t00001", 9)
    assert resumed.line == "epoch 5/9: train loss 0.4000, train accuracy 0.5000, from a saved state"
    assert following.line.endswith("accuracy 0.5000")


@pytest.mark.parametrize(
    "losses",
    [(math.nan, math.nan), (math.inf, math.nan), (0.4, math.nan)],
    ids=["nan", "infinite", "by its last step"],
)
def test_a_retraining_that_diverges_ends_with_an_error(losses: tuple[float, float]) -> None:
    results = [epoch(1), epoch(2, *losses)]
    with pytest.raises(SearchFailedError, match="of t00001 diverged at epoch 2; nothing was saved"):
        list(checked_epochs(results, "t00001", 3))


def test_a_retraining_that_fails_says_why_in_one_line() -> None:
    failed = EpochResult(None, failure=Outcome.OOM, error="Traceback:\n  a line\nMemoryError: 3 GiB\n")
    with pytest.raises(SearchFailedError, match=r"of t00001 failed \(OOM\): MemoryError: 3 GiB$"):
        list(checked_epochs([failed], "t00001", 3))
