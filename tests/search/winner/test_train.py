"""Training the winner again: its micro-batches, its schedule, and what is reported when it diverges."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.jobs.schema import Job
from toprung.search.winner.train import micro_batches, retrain_task, train_epochs
from toprung.trainables.data.dataset import load

TRAIN_IMAGES = 100


@pytest.mark.parametrize(
    ("micro_batch_size", "config", "number"),
    [
        (32, {"batch_size": 64}, 2),
        (9, {"batch_size": 65}, 8),
        (50, {"batch_size": 256}, 2),
        (13, {"batch_size": 256}, 8),
        (5, {"batch_size": 33}, 8),
        (pd.NA, {"batch_size": 64}, 1),
        (4, {}, 1),
    ],
)
def test_the_number_of_micro_batches_is_read_from_the_winners_row(
    micro_batch_size: Any, config: dict[str, int], number: int
) -> None:
    sizes = pd.array([pd.NA, micro_batch_size], dtype="Int64")
    trials = pd.DataFrame({"trial_id": ["t00000", "t00001"], "micro_batch_size": sizes})
    winner: Any = SimpleNamespace(trial_id="t00001", config=config)
    assert micro_batches(trials, winner, TRAIN_IMAGES) == number
    assert micro_batches(trials.drop(columns="micro_batch_size"), winner, TRAIN_IMAGES) == 1, (
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
def test_a_retraining_that_diverges_ends_with_an_error(
    losses: list[tuple[float, float]], epoch: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    reported = iter(losses)

    def train_epoch(epoch: int) -> dict[str, float]:
        train_loss, val_loss = next(reported)
        return {"train_loss": train_loss, "train_accuracy": 0.5, "val_loss": val_loss}

    caplog.set_level(logging.INFO, "toprung")
    trainer: Any = SimpleNamespace(train_epoch=train_epoch)
    if epoch is None:
        train_epochs(trainer, len(losses), "t00001")
        assert caplog.messages[-1] == "epoch 2/2: train loss 0.4000, train accuracy 0.5000"
        return
    with pytest.raises(SearchFailedError, match=f"of t00001 diverged at epoch {epoch}; nothing was saved"):
        train_epochs(trainer, 3, "t00001")


@pytest.mark.parametrize(("epochs", "schedule"), [(6, 9), (9, 9), (14, 14)])
def test_the_schedule_of_a_longer_retraining_spans_all_of_its_epochs(epochs: int, schedule: int) -> None:
    dataset = load(Job.from_dict({"name": "a", "data": "digits"}, "job").data_spec())
    task = retrain_task(dataset, 9, epochs)
    assert task.max_epochs == schedule
    assert len(task.train.labels) == dataset.counts["train"] + dataset.counts["val"]
