"""A run on the digits with one retrained model, as small as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toprung.results.analysis.winner import Winner
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, kinds_of, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.jobs.schema import Job
from toprung.search.retrained.champion import decide
from toprung.search.retrained.kept_models import ModelFolder, kept_models
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.train_and_test import EpochTrained, train_and_test
from toprung.search.winner.winner_training import WinnerTraining
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.plan import Rules, TrialPlan
from toprung.trainables.worker.retraining import RetrainPlan

DIGITS = DataSpec(source="digits", image_size=8)
CONFIG: dict[str, Any] = {
    "blocks": 1, "convs_per_block": 1, "filters": 8, "kernel_size": 3, "dense_units": 0, "head": "flatten",
    "batch_norm": False, "pooling": "max", "filter_growth": 1.0, "batch_size": 64, "optimizer": "adamw",
    "learning_rate": 0.01, "label_smoothing": 0.1,
}  # fmt: skip


def winner_training(run: Path, family: str = "cnn", config: dict[str, Any] = CONFIG) -> WinnerTraining:
    rules = Rules(max_epochs=3, data_fingerprint=load(DIGITS).fingerprint)
    states = str(run / "retrain" / "checkpoints")
    trial = TrialPlan(DIGITS, pack_source("digits", "data"), pack_source(family), states, rules, cpus=1)
    winner = Winner("t00001", config, 7, "val_accuracy", 0.9, 3, 3, 3, Outcome.COMPLETED, "best", None, None)
    folder = ModelFolder(RunFolder(str(run)), "t00001-s7")
    return WinnerTraining(folder, "digits", winner, RetrainPlan(trial, config, 7, schedule_epochs=3))


def keep_digits(folder: Path) -> None:
    """Make a run with one retrained model, its champion."""
    data = {"source": "digits", "image_size": 8}
    job = Job.from_dict({"name": "digits", "data": data, "storage": {"path": str(folder.parent)}}, "job")
    RunFolder(str(folder)).claim(job).release()
    details = TrialDetails(seed=7, data_fingerprint=load(DIGITS).fingerprint)
    with RunWriter(str(folder), run_schemas(kinds_of([CONFIG]))) as writer:
        reports = [EpochReport("t00001", epoch, {"val_accuracy": 0.3 * epoch}) for epoch in (1, 2, 3)]
        writer.append(PROPOSALS, proposal_row("t00001", CONFIG, 7))
        for number, epoch in enumerate(reports):
            writer.append(EPOCHS, epoch_row(epoch, number, "KEEP"))
        writer.append(TRIALS, trial_row("t00001", CONFIG, Outcome.COMPLETED, reports, details))
    *epochs, report = train_and_test(winner_training(folder))
    assert [each.line.split(":")[0] for each in epochs if isinstance(each, EpochTrained)] == [
        *(f"calibration, epoch {number}/3" for number in (1, 2, 3)),
        *(f"epoch {number}/3" for number in (1, 2, 3)),
    ]
    (kept,) = kept_models(RunFolder(str(folder)))
    assert kept.report == report
    assert decide(RunFolder(str(folder)), kept).alias == "champion"
