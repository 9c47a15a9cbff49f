"""Workers whose trials train nothing: what is left is the way between driver and workers, and what happens to it."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from ray import tune

from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.plan import TrialPlan
from toprung.trainables.worker.ray_trainable import KerasTrial

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH_SECS = 0.2


class IdleTrainer:
    """Measures noise."""

    parameter_count = 1
    execution_plan, execution_record = ExecutionPlan(), ExecutionRecord("none", "float32", xla=False)

    def reset(self, config: Mapping[str, object], seed: int) -> None:
        self.seed = seed

    def train_epoch(self, epoch: int) -> dict[str, float]:
        value = random.Random(self.seed * 1000 + epoch).random()
        names = ("val_loss", "train_accuracy", "train_loss", "learning_rate", "images_per_sec")
        return {"val_accuracy": value, **dict.fromkeys(names, value)}

    def take_usage(self) -> ResourceUsage:
        return ResourceUsage()

    def clean_train_accuracy(self) -> float:
        return 0.5

    def latency_ms(self) -> float:
        return 1.0

    def epoch_secs(self) -> float:
        return 0.0

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None: ...


class IdleSource:
    """One trainer for all."""

    def __init__(self) -> None:
        self._trainer = IdleTrainer()

    def trainer(self, config: Mapping[str, object], plan: object, min_micro_batches: int) -> IdleTrainer:
        return self._trainer

    def take_startup_secs(self) -> float:
        return 0.0

    def make_room(self) -> None: ...


class IdleTrial(KerasTrial):
    """Our worker without TensorFlow, data and models."""

    def source(self, plan: TrialPlan) -> IdleSource:
        return IdleSource()


class StockTrial(tune.Trainable):  # type: ignore[misc]
    """Ray's class trainable that returns noise."""

    def setup(self, config: dict[str, Any]) -> None:
        self.seed = config["seed"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.seed = new_config["seed"]
        return True

    def step(self) -> dict[str, Any]:
        return {"val_accuracy": random.Random(self.seed * 1000 + self.iteration).random()}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to save; Ray asks for it at each trial's end."""

    def load_checkpoint(self, checkpoint: Mapping[str, Any] | None) -> None: ...


class SleepingTrainer(IdleTrainer):
    """Measures a quality of the trial and some noise, so that rungs predict the end, and takes its time."""

    def train_epoch(self, epoch: int) -> dict[str, float]:
        time.sleep(EPOCH_SECS)
        measured = super().train_epoch(epoch)
        return {
            **measured,
            "val_accuracy": 0.9 * random.Random(self.seed).random() + 0.1 * measured["val_accuracy"],
        }


class SleepingSource(IdleSource):
    """One trainer for all."""

    def __init__(self) -> None:
        self._trainer = SleepingTrainer()


class SleepingTrial(KerasTrial):
    """A worker whose trials sleep in place of training."""

    def source(self, plan: TrialPlan) -> SleepingSource:
        return SleepingSource()
