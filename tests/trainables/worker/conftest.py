"""A worker without TensorFlow: a trainer whose epochs are scripted by the configuration, and runs on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.plan import Rules
from toprung.trainables.worker.trial_runner import TrialRunner


class ScriptedTrainer:
    """Measures what its configuration says.

    With `curve` an epoch measures its value there, or 0.2. Otherwise it measures the seed plus `gain` times the sum of
    the epochs that were trained, so that an epoch lost or trained twice shows. `nan_at` is the epoch that measures NaN,
    `raises_at` the one that raises `error`, as often as `times` says or always; `secs` is what timing an epoch says.
    `before_epoch` is called first.
    """

    parameter_count = 1

    def __init__(self, before_epoch: Callable[[int], None] = lambda _: None) -> None:
        self.execution_plan = ExecutionPlan()
        self.before_epoch = before_epoch
        self.usage = ResourceUsage()
        self.raised = self.timed = self.epochs_timed = 0

    @property
    def execution_record(self) -> ExecutionRecord:
        size = 32 // self.execution_plan.micro_batches
        return ExecutionRecord("cpu", "float32", xla=False, micro_batch_size=size)

    def reset(self, config: Any, seed: int) -> None:
        self.config, self.total, self.trained = dict(config), float(seed), []

    def take_usage(self) -> ResourceUsage:
        usage, self.usage = self.usage + ResourceUsage(input_wait_secs=0.5), ResourceUsage()
        return usage

    def train_epoch(self, epoch: int) -> dict[str, float]:
        self.before_epoch(epoch)
        if epoch == self.config.get("raises_at") and self.raised < self.config.get("times", math.inf):
            self.raised += 1
            error = self.config["error"]
            raise type(error)(*error.args)  # a new one, whose traceback holds no earlier frames
        self.trained.append(epoch)
        self.total += self.config.get("gain", 1.0) * epoch
        value = self.config["curve"].get(epoch, 0.2) if "curve" in self.config else self.total
        return {"val_accuracy": math.nan if epoch == self.config.get("nan_at") else value}

    def clean_train_accuracy(self) -> float:
        return 0.5

    def latency_ms(self) -> float:
        self.timed += 1
        return 2.0 * self.timed

    def epoch_secs(self) -> float:
        self.epochs_timed += 1
        assert not self.trained, "it is timed before it is trained"
        return float(self.config["secs"])

    def state(self) -> dict[str, np.ndarray]:
        return {"total": np.array(self.total)}

    def load_state(self, state: Any) -> None:
        self.total = float(state["total"])


class OneTrainerSource:
    """A source with one trainer; it records what it was asked for, and how often to make room."""

    def __init__(self, trainer: Any, own_plan: ExecutionPlan | None = None) -> None:
        self.only, self.own_plan = trainer, own_plan or ExecutionPlan()
        self.requests: list[tuple[ExecutionPlan | None, int]] = []
        self.times_made_room = 0

    def trainer(self, config: Any, plan: ExecutionPlan | None, min_micro_batches: int) -> Any:
        self.requests.append((plan, min_micro_batches))
        plan = plan or self.own_plan
        self.only.execution_plan = replace(plan, micro_batches=max(plan.micro_batches, min_micro_batches))
        return self.only

    def take_startup_secs(self) -> float:
        return 0.0

    def make_room(self) -> None:
        self.times_made_room += 1


@pytest.fixture
def trainer_type() -> type[ScriptedTrainer]:
    return ScriptedTrainer


@pytest.fixture
def source_type() -> type[OneTrainerSource]:
    return OneTrainerSource


@pytest.fixture
def new_run() -> Callable[..., TrialRunner]:
    """A run whose states are in a folder, with rungs at epochs 1, 3 and 9.

    It trains with a scripted trainer unless another trainer or source is given.
    """

    def run(root: Path, trainer: Any = None, source: Any = None, **rules: Any) -> TrialRunner:
        defaults = {"max_epochs": 9, "checkpoint_epochs": frozenset({1, 3, 9}), "checkpoint_secs": 1e9}
        source = source or OneTrainerSource(trainer or ScriptedTrainer())
        return TrialRunner(
            source, CheckpointStore(str(root)), Rules(**{**defaults, "data_fingerprint": "f", **rules})
        )

    return run


@pytest.fixture
def new_start() -> Callable[..., TrialStart]:
    """The start of a trial: its number is its seed, and what else is given its configuration."""

    def start(number: int = 0, **config: Any) -> TrialStart:
        return TrialStart(f"t{number:05d}", number, seed=number, config=config)

    return start


@pytest.fixture
def step_values() -> Callable[[TrialRunner, int], list[tuple[int, float]]]:
    """The epochs that a run reports as the newest ones of so many steps, with their values."""

    def values(run: TrialRunner, count: int) -> list[tuple[int, float]]:
        reports = [run.step().report for _ in range(count)]
        return [(report.epoch, report.metrics["val_accuracy"]) for report in reports if report]

    return values
