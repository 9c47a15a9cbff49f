"""The winner's training on train + validation, in whichever process has the resources for it.

It is one long trial: saved, resumed and cut into micro-batches as every trial. So is the training on train alone that
may stand before it: its validation images are held out, and their logits calibrate the winner. Heavy libraries are
imported inside the functions.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from toprung.trainables.backend.autotune import AutotuneStore
from toprung.trainables.data.concat import concat_splits
from toprung.trainables.system.imports import start_keras_quietly
from toprung.trainables.trial.execution import FLOAT32
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.patience import KEY as PATIENCE
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trainer_source import CachedTrainerSource
from toprung.trainables.worker.trial_runner import TrialRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import keras

    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.metrics.classification import Evaluation
    from toprung.trainables.task.task import Split, Task
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.trial.execution import ExecutionPlan
    from toprung.trainables.trial.messages import EpochResult
    from toprung.trainables.worker.plan import TrialPlan


class Phase(Enum):
    """What the winner is trained on: `HELD_OUT` keeps the validation images for calibration, `FINAL` has them too."""

    HELD_OUT = "train"
    FINAL = "train + validation"


@dataclass(frozen=True)
class RetrainPlan:
    """All that a process needs to train the winner.

    Attributes:
        trial: As of a search's trials; `rules.max_epochs` are the epochs to train.
        config: The winner's configuration.
        seed: The winner's seed.
        schedule_epochs: The length of its schedules, see `retrain_task`.
        min_micro_batches: Its batches are cut into at least so many.
    """

    trial: TrialPlan
    config: Mapping[str, object]
    seed: int
    schedule_epochs: int
    min_micro_batches: int = 1

    def state_name(self, phase: Phase = Phase.FINAL) -> str:
        """Names the saved state: another training, or another version of the user's file, has another name."""
        trial = self.trial
        owner = [
            self.schedule_epochs,
            trial.rules.max_epochs,
            self.min_micro_batches,
            trial.family.fingerprint,
        ]
        prefix = "winner" if phase is Phase.FINAL else "held-out"
        return f"{prefix}-" + hashlib.sha256(json.dumps(owner).encode()).hexdigest()[:12]


def retrain_task(dataset: Dataset, schedule_epochs: int, phase: Phase = Phase.FINAL) -> Task:
    """The task of a phase; a learning rate schedule ends at zero after `schedule_epochs`."""
    train = dataset.train()
    if phase is Phase.FINAL:
        train = concat_splits(train, dataset.val())
    return dataset.task(schedule_epochs, train)


class RetrainSource(CachedTrainerSource):
    """Builds the winner's trainer; in a process that is no worker's it leaves the process as it is."""

    def __init__(self, plan: RetrainPlan, in_worker: bool) -> None:
        super().__init__(plan.trial)
        self._retrain_plan, self._in_worker = plan, in_worker
        self._task: Task | None = None
        self.newest: Trainer | None = None

    def train_on(self, phase: Phase) -> None:
        """Build trainers for this phase from now on."""
        self._task = retrain_task(self.loaded.dataset, self._retrain_plan.schedule_epochs, phase)

    def trainer(
        self, config: Mapping[str, object], plan: ExecutionPlan | None, min_micro_batches: int
    ) -> Trainer:
        """The winner's trainer, its batches cut as in the search and for lack of memory here."""
        loaded = self.loaded
        count = max(self._retrain_plan.min_micro_batches, min_micro_batches)
        task = self._task or loaded.task
        self.newest = loaded.trainers.trainer(loaded.family, config, task, plan, count)
        return self.newest

    def task(self, dataset: Dataset) -> Task:
        """Train + validation."""
        return retrain_task(dataset, self._retrain_plan.schedule_epochs)

    def store(self) -> AutotuneStore | None:
        """The search's choices: on the kind of device that searched, the winner is computed as in the search."""
        autotune = self._plan.autotune
        return AutotuneStore(autotune, read_only=True) if autotune else None

    def start_backend(self) -> None:
        """As a worker's in a worker; else with whatever the user's process has."""
        if self._in_worker:
            super().start_backend()
            return
        start_keras_quietly()


def in_single_precision(trainer: Trainer, made: Callable[[ExecutionPlan], Trainer]) -> Trainer:
    """A trainer with the weights of another that computes as the saved model does: in float32.

    Its scores are those that the users of the model see.

    Args:
        trainer: The other one, which may lose its weights.
        made: Gives a trainer of the same model that computes as a plan says.
    """
    plan = replace(trainer.execution_plan, precision=FLOAT32)
    if plan == trainer.execution_plan:
        return trainer
    state = trainer.state()
    single = made(plan)
    single.load_state(state)
    return single


class Retraining:
    """The winner in training, then trained.

    Args:
        plan: What to train.
        in_worker: Whether this process is a Ray worker, which is limited to what the plan gives it.
    """

    def __init__(self, plan: RetrainPlan, in_worker: bool = False) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        self._plan = plan
        # The last epoch is reached in any case: without patience no state is saved for it.
        self._config = {key: value for key, value in plan.config.items() if key != PATIENCE}
        self._source = RetrainSource(plan, in_worker)
        self._store = CheckpointStore(plan.trial.checkpoints)
        self._run = TrialRunner(self._source, self._store, plan.trial.rules, in_worker)

    def results(self, phase: Phase = Phase.FINAL) -> Iterator[EpochResult]:
        """Train to the last epoch; from a saved state the first result repeats its newest epoch.

        Yields:
            The result of each epoch; the last one says how the training failed, if it did.
        """
        self._source.train_on(phase)
        self._run.begin(TrialStart(self._plan.state_name(phase), 0, self._plan.seed, self._config))
        while True:
            result = self._run.step()
            yield result
            report = result.report
            is_over = (
                report is None or not report.is_finite or report.epoch >= self._plan.trial.rules.max_epochs
            )
            if result.failure or is_over:
                return

    @property
    def dataset(self) -> Dataset:
        """The images."""
        return self._source.loaded.dataset

    def export(self, temperature: float = 1.0) -> keras.Model:
        """The trained model, see `Trainer.export`."""
        assert self._source.newest is not None
        return self._source.newest.export(temperature)

    def evaluate(self, split: Split) -> Evaluation:
        """The scores of the trained model on a split, as the saved model computes them; `export` comes first."""
        trainer = self._source.newest
        assert trainer is not None

        def made(plan: ExecutionPlan) -> Trainer:
            single = self._source.trainer(self._config, plan, plan.micro_batches)
            single.reset(self._config, 0)
            return single

        return in_single_precision(trainer, made).evaluate(split)

    def discard_state(self) -> None:
        """Delete the saved states of this run's retrainings: nothing continues from them any more."""
        self._run.end()
        self._store.keep_only(frozenset())
