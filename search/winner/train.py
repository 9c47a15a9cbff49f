"""The winner trained on train + validation, and evaluated as its saved model computes."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.driver.search_failure import SearchFailedError
from toprung.trainables.backend.autotune import AutotuneStore, Workload
from toprung.trainables.data.concat import concat_splits
from toprung.trainables.system.imports import silence_native_stderr
from toprung.trainables.trial.execution import FLOAT32
from toprung.trainables.worker.trial_runner import MICRO_BATCHES_AFTER_OOM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.results.analysis.winner import Winner
    from toprung.search.winner.searched_run import SearchedRun
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.training.trainer_cache import TrainerCache

_progress_log = logging.getLogger(PROGRESS_LOG)


@dataclass(frozen=True)
class TrainedWinner:
    """A trainer that holds the trained weights, and what another one of the same model is built from."""

    trainer: Trainer
    cache: TrainerCache
    family: Family
    config: Mapping[str, Any]
    task: Task

    def as_saved(self) -> Trainer:
        """A trainer with these weights that computes as the saved model does: in single precision.

        Its scores are those that the users of the model see. `trainer` itself may lose its weights to it.
        """
        plan = replace(self.trainer.execution_plan, precision=FLOAT32)
        if plan == self.trainer.execution_plan:
            return self.trainer
        state = self.trainer.state()
        single = self.cache.trainer(self.family, self.config, self.task, plan)
        single.reset(self.config, 0)
        single.load_state(state)
        return single


def train_winner(run: SearchedRun, winner: Winner, dataset: Dataset, epochs: int) -> TrainedWinner:
    """Train the winner's configuration for this many epochs, with its own seed, on train + validation.

    Raises:
        SearchFailedError: The training diverged.
    """
    with silence_native_stderr():
        from toprung.trainables.backend.engine import enable_determinism
        from toprung.trainables.models.family import load_family
        from toprung.trainables.training.trainer_cache import TrainerCache

    job = run.job
    if job.resources.deterministic:
        enable_determinism()
    task = retrain_task(dataset, job.search.max_epochs, epochs)
    # On the kind of device that searched, the winner is computed as in the search.
    store = AutotuneStore(run.folder.choices, read_only=True)
    request = job.resources.execution_request()
    cache = TrainerCache(request=request, store=store, workload=Workload(epochs))
    family = load_family(job.family)
    min_micro_batches = micro_batches(run.trials, winner, dataset.counts["train"])
    trainer = cache.trainer(family, winner.config, task, min_micro_batches=min_micro_batches)
    trainer.reset(winner.config, winner.seed or 0)
    train_epochs(trainer, epochs, winner.trial_id)
    return TrainedWinner(trainer, cache, family, winner.config, task)


def retrain_task(dataset: Dataset, max_epochs: int, epochs: int) -> Task:
    """The task on train + validation, its schedules as long as the search's or as a longer retraining.

    A learning rate schedule ends at zero: epochs after its end would change nothing.
    """
    return dataset.task(max(max_epochs, epochs), concat_splits(dataset.train(), dataset.val()))


def train_epochs(trainer: Trainer, epochs: int, trial_id: str) -> None:
    """Train all epochs and log a line for each.

    Raises:
        SearchFailedError: A loss is not finite.
    """
    for epoch in range(1, epochs + 1):
        metrics = trainer.train_epoch(epoch)
        _progress_log.info(
            "epoch %d/%d: train loss %.4f, train accuracy %.4f",
            epoch,
            epochs,
            metrics["train_loss"],
            metrics["train_accuracy"],
        )
        # The training loss is measured before each step, so that only the validation loss shows the last step.
        if not math.isfinite(metrics["train_loss"] + metrics["val_loss"]):
            raise SearchFailedError(
                f"the retraining of {trial_id} diverged at epoch {epoch}; nothing was saved"
            )


def micro_batches(trials: pd.DataFrame, winner: Winner, train_images: int) -> int:
    """Into how many micro-batches the winner's batches were split in the search for lack of memory; 1 for not at all.

    Args:
        trials: The run's table `trials`.
        winner: One of its trials.
        train_images: Training images of the search; a batch had at most as many.
    """
    row = trials[trials["trial_id"] == winner.trial_id].iloc[-1]
    size = row.get("micro_batch_size")
    if size is None or pd.isna(size) or "batch_size" not in winner.config:
        return 1
    batch = min(winner.config["batch_size"], train_images)
    # The last micro-batch is padded, so that several numbers may give this size: the search tries these alone.
    same_size = (number for number in MICRO_BATCHES_AFTER_OOM if math.ceil(batch / number) == size)
    return next(same_size, math.ceil(batch / size))
