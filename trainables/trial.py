"""The Ray Tune trainable: one actor a worker, reused from trial to trial, one step an epoch.

Loaded by the driver for its class and by the workers for its work; TensorFlow is imported in the workers alone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray import tune

from trainables.checkpoint import CheckpointStore
from trainables.data import DataSpec, load
from trainables.trial_run import EpochResult, Trainer, TrialRun

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAN, START, RESULT, WORKER = "plan", "start", "result", "worker"


@dataclass(frozen=True)
class TrialPlan:
    """What every trial of a search shares; travels to the workers with each trial."""

    data: DataSpec
    data_fingerprint: str
    family: str
    max_epochs: int
    checkpoints: str
    checkpoint_epochs: frozenset[int]
    checkpoint_secs: float
    durable_rungs: bool
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Worker:
    """Which process a result came from."""

    node: str
    pid: int


class KerasTrial(tune.Trainable):  # type: ignore[misc]
    """A warm worker: the process, its data and its compiled models outlive the trial."""

    def setup(self, config: dict[str, Any]) -> None:
        """Start the worker with its first trial."""
        plan: TrialPlan = config[PLAN]
        self._worker = Worker(socket.gethostname(), os.getpid())
        self._trainers = _TrainerSource(plan)
        self._run = TrialRun(
            self._trainers.trainer,
            CheckpointStore(plan.checkpoints),
            max_epochs=plan.max_epochs,
            checkpoint_epochs=plan.checkpoint_epochs,
            checkpoint_secs=plan.checkpoint_secs,
            data_fingerprint=plan.data_fingerprint,
            durable_rungs=plan.durable_rungs,
        )
        self._run.begin(config[START])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial in place."""
        self._run.begin(new_config[START])
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; its result never says `done`, the driver decides."""
        result: EpochResult = self._run.step()
        return {RESULT: result, WORKER: self._worker}

    def cleanup(self) -> None:
        """Finish what is still being written."""
        self._run.end()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep their own checkpoints, which outlive Ray's."""

    def load_checkpoint(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Nothing: a trial goes on from its own checkpoint when it begins."""


class _TrainerSource:
    """Loads data and model code at the first trial, so that what fails there fails the trial and not the actor."""

    def __init__(self, plan: TrialPlan) -> None:
        self._plan = plan
        self._ready: tuple[Any, Any, Any] | None = None

    def trainer(self, config: Mapping[str, Any]) -> Trainer:
        if self._ready is None:
            self._ready = self._load()
        trainers, family, task = self._ready
        trainer: Trainer = trainers.trainer(family, config, task)
        return trainer

    def _load(self) -> tuple[Any, Any, Any]:
        plan = self._plan
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        dataset = load(plan.data)
        if dataset.fingerprint != plan.data_fingerprint:
            raise RuntimeError(
                f"the images on this node are not those of the driver: fingerprint {dataset.fingerprint[:12]}, "
                f"expected {plan.data_fingerprint[:12]}"
            )
        from trainables.engine import limit_threads
        from trainables.family import load_family
        from trainables.task import Task
        from trainables.warm import WarmTrainers

        limit_threads(max(1, int(plan.cpus)))
        task = Task(dataset.image_shape, dataset.classes, plan.max_epochs, dataset.train(), dataset.val())
        return WarmTrainers(), load_family(plan.family), task
