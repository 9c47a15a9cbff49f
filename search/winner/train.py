"""What the winner's training is told: made from the run by the driver, carried out by whichever process trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.search.choice.time_limit import schedule_epochs
from toprung.search.retrained.kept_models import new_folder
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.winner_training import WinnerTraining
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.backend.autotune import Workload
from toprung.trainables.system.store_settings import store_settings
from toprung.trainables.system.uris import absolute
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.worker.plan import Rules, TrialPlan
from toprung.trainables.worker.retraining import RetrainPlan
from toprung.trainables.worker.trial_runner import MICRO_BATCHES_AFTER_OOM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.results.analysis.winner import Winner
    from toprung.search.choice.searched_run import SearchedRun
    from toprung.trainables.data.dataset import Dataset

STATES = ("retrain", "checkpoints")


def winner_training(run: SearchedRun, winner: Winner, dataset: Dataset, epochs: int) -> WinnerTraining:
    """The winner's training for this many epochs, with its own seed, on train + validation."""
    job, folder = run.job, RunFolder(absolute(run.folder.root))
    seed = winner.seed or 0
    rules = Rules(
        max_epochs=epochs,
        checkpoint_secs=job.storage.checkpoint_secs,
        objectives=Objectives((job.search.optimized.main,)),
        data_fingerprint=dataset.fingerprint,
    )
    data = job.data_spec()
    trial = TrialPlan(
        data=data,
        source=pack_source(data.source, "data.source"),
        family=pack_source(job.family),
        checkpoints=folder.path(*STATES),
        rules=rules,
        cpus=job.resources.cpus,
        gpus=gpus_of(run, winner),
        execution=job.resources.execution_request(),
        workload=Workload(epochs),
        deterministic=job.resources.deterministic,
        autotune=folder.choices,
        epoch_limit_secs=3600 * job.resources.max_epoch_hours,
        store_settings=store_settings(),
    )
    plan = RetrainPlan(
        trial,
        dict(winner.config),
        seed,
        schedule_epochs(job, epochs),
        micro_batches(row_of(run.trials, winner.trial_id), winner.config, dataset.counts["train"]),
    )
    model_folder = new_folder(folder, winner.trial_id, seed)
    return WinnerTraining(model_folder, job.name, winner, plan, job.retrain.calibrate)


def gpus_of(run: SearchedRun, winner: Winner) -> float:
    """The GPUs of the winner's training: those of the job, or what its trial had where the job leaves them open."""
    gpus = run.job.resources.gpus
    if gpus != "auto":
        return gpus
    row = row_of(run.trials, winner.trial_id)
    return 0.0 if pd.isna(row["gpus"]) else float(row["gpus"])


def row_of(trials: pd.DataFrame, trial_id: str) -> dict[str, Any]:
    """The row of an ended trial in the table `trials`."""
    row = trials[trials["trial_id"] == trial_id].iloc[-1]
    return {str(name): value for name, value in row.items()}


def micro_batches(row: Mapping[str, Any], config: Mapping[str, Any], train_images: int) -> int:
    """Into how many micro-batches a trial's batches were split in the search for lack of memory; 1 for not at all.

    Args:
        row: The trial's row in the table `trials`.
        config: Its configuration.
        train_images: Training images of the search; a batch had at most as many.
    """
    size = row.get("micro_batch_size")
    if size is None or pd.isna(size) or "batch_size" not in config:
        return 1
    batch = min(config["batch_size"], train_images)
    # The last micro-batch is padded, so that several numbers may give this size: the search tries these alone.
    same_size = (number for number in MICRO_BATCHES_AFTER_OOM if math.ceil(batch / number) == size)
    return next(same_size, math.ceil(batch / size))
