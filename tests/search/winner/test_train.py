"""Training the winner again: its micro-batches, its schedule, its place and its resources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from toprung.results.analysis.winner import Winner
from toprung.search.choice.searched_run import SearchedRun
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.train import gpus_of, micro_batches, row_of, winner_training
from toprung.trainables.data.dataset import load
from toprung.trainables.trial.report import Outcome
from toprung.trainables.worker.retraining import Phase, retrain_task

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
    row = row_of(trials, "t00001")
    assert micro_batches(row, config, TRAIN_IMAGES) == number
    del row["micro_batch_size"]
    assert micro_batches(row, config, TRAIN_IMAGES) == 1, "rows of an earlier version"


WINNER = Winner(
    "t00001", {"batch_size": 32}, 7, "val_accuracy", 0.9, 5, 9, 6, Outcome.COMPLETED, "best", None, None
)


def searched_run(**sections: Any) -> SearchedRun:
    """A run whose winner had half a GPU."""
    job = Job.from_dict({"name": "a", "data": "digits", "search": {"max_epochs": 9}, **sections}, "job")
    trials = pd.DataFrame({"trial_id": ["t00000", "t00001"], "gpus": [None, 0.5]})
    return SearchedRun(RunFolder("runs/a"), job, trials, pd.DataFrame())


@pytest.mark.parametrize(("epochs", "schedule"), [(6, 9), (9, 9), (14, 14)])
def test_the_schedule_of_a_longer_retraining_spans_all_of_its_epochs(epochs: int, schedule: int) -> None:
    run = searched_run()
    dataset = load(run.job.data_spec())
    plan = winner_training(run, WINNER, dataset, epochs).plan
    assert plan.schedule_epochs == schedule
    task = retrain_task(dataset, plan.schedule_epochs)
    assert task.max_epochs == schedule
    assert len(task.train.labels) == dataset.counts["train"] + dataset.counts["val"]


def test_another_node_is_told_where_the_run_is_from_the_root_of_the_file_system() -> None:
    run = searched_run()
    work = winner_training(run, WINNER, load(run.job.data_spec()), 6)
    assert work.folder.root == str(Path("runs/a").absolute())
    assert work.plan.trial.checkpoints == f"{work.folder.root}/retrain/checkpoints"


def test_another_training_of_the_winner_does_not_continue_from_the_state_of_the_first() -> None:
    run = searched_run()
    dataset = load(run.job.data_spec())
    plan = winner_training(run, WINNER, dataset, 6).plan
    others = [winner_training(run, WINNER, dataset, 7).plan, replace(plan, min_micro_batches=2)]
    names = {each.state_name(phase) for each in (plan, *others) for phase in Phase}
    assert len(names) == 6
    assert winner_training(run, WINNER, dataset, 6).plan.state_name() == plan.state_name()


@pytest.mark.parametrize(("given", "gpus"), [("auto", 0.5), (1, 1.0), (0, 0.0)])
def test_the_winner_has_the_gpus_of_the_job_or_of_its_trial(given: Any, gpus: float) -> None:
    assert gpus_of(searched_run(resources={"gpus": given}), WINNER) == gpus


def test_a_winner_whose_trial_had_no_gpu_is_trained_without() -> None:
    run = searched_run(resources={"gpus": "auto"})
    assert gpus_of(run, replace(WINNER, trial_id="t00000")) == 0.0
