"""The winner's training in this process: cut short and continued, it ends as one that ran through."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.worker.plan import Rules, TrialPlan
from toprung.trainables.worker.retraining import Retraining, RetrainPlan

pytestmark = pytest.mark.slow
DIGITS = DataSpec(source="digits", image_size=8)
CONFIG: dict[str, Any] = {
    "blocks": 1, "convs_per_block": 1, "filters": 8, "kernel_size": 3, "dense_units": 0, "head": "flatten",
    "batch_norm": False, "pooling": "max", "filter_growth": 1.0, "batch_size": 64, "optimizer": "adamw",
    "learning_rate": 0.01, "patience_epochs": 1,
}  # fmt: skip
EPOCHS = 5


def plan_at(checkpoints: Path) -> RetrainPlan:
    rules = Rules(max_epochs=EPOCHS, checkpoint_secs=1e-6, data_fingerprint=load(DIGITS).fingerprint)
    trial = TrialPlan(DIGITS, SourceFile("digits"), SourceFile("cnn"), str(checkpoints), rules, cpus=1)
    return RetrainPlan(trial, CONFIG, seed=7, schedule_epochs=9)


def test_a_training_that_was_cut_short_goes_on_and_ends_as_one_that_ran_through(tmp_path: Path) -> None:
    whole = Retraining(plan_at(tmp_path / "whole"))
    losses = [result.report.metrics["train_loss"] for result in whole.results() if result.report]
    assert len(losses) == EPOCHS, "patience ends no retraining"
    counts = whole.dataset.counts

    cut_short = Retraining(plan_at(tmp_path / "cut"))
    assert len(list(islice(cut_short.results(), 3))) == 3
    resumed = Retraining(plan_at(tmp_path / "cut"))
    reports = [result.report for result in resumed.results() if result.report]
    assert reports[0].epoch in (2, 3), "the last state may still have been on its way to the disk"
    assert [report.metrics["train_loss"] for report in reports] == losses[reports[0].epoch - 1 :]

    images = np.zeros((4, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(whole.export()(images), resumed.export()(images))
    test = resumed.evaluate(resumed.dataset.test())
    assert len(test.labels) == counts["test"]
    assert test.accuracy == whole.evaluate(whole.dataset.test()).accuracy
    resumed.discard_state()
    assert not list((tmp_path / "cut").iterdir())
