"""A winner is retrained in the parts of a batch that did fit, and not saved when its training diverges."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from search.retrain import parts_of_batches, train_through
from search.run import SearchFailedError


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


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [
        ([(math.nan, math.nan)], 1),
        ([(0.5, 0.6), (math.inf, math.nan)], 2),
        ([(0.5, 0.6), (0.4, math.nan)], 2),
        ([(0.5, 0.6), (0.4, 0.5)], None),
    ],
    ids=["nan", "infinite", "by its last step", "never"],
)
def test_a_retraining_that_diverges_is_told_and_not_gone_on_with(
    losses: list[tuple[float, float]], epoch: int | None
) -> None:
    told = iter(losses)

    def train_epoch(epoch: int) -> dict[str, float]:
        train_loss, val_loss = next(told)
        return {"train_loss": train_loss, "train_accuracy": 0.5, "val_loss": val_loss}

    trainer: Any = SimpleNamespace(train_epoch=train_epoch)
    if epoch is None:
        train_through(trainer, len(losses), "t00001")
        return
    with pytest.raises(SearchFailedError, match=f"of t00001 diverged at epoch {epoch}; nothing was saved"):
        train_through(trainer, 3, "t00001")
