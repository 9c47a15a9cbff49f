"""The Ray Tune trainable: one actor a worker, reused from trial to trial, one step an epoch or a few short ones.

Loaded by the driver for its class and by the workers for its work; TensorFlow is imported in the workers alone.
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ray import tune

from spaces.shipped import Shipped, received
from trainables.checkpoint import CheckpointStore
from trainables.choice import Choices
from trainables.computation import Asked, Computation
from trainables.costs import memory_share_bytes, process_age_secs
from trainables.data import DataSpec, load
from trainables.lean import NOT_FOR_TRAINING, without
from trainables.trial_run import EpochResult, Rules, Trainer, TrialRun, TrialStart

if TYPE_CHECKING:
    from collections.abc import Mapping

START, RESULT, WORKER = "start", "result", "worker"


@dataclass(frozen=True)
class TrialPlan:
    """What every trial of a search shares; each worker gets it once."""

    data: DataSpec
    source: Shipped
    family: Shipped
    checkpoints: str
    rules: Rules
    cpus: float
    gpus: float
    asked: Asked = field(default_factory=Asked)
    choices: str | None = None
    """Where the workers keep how they chose to compute; each chooses for itself if None."""
    worker_bytes: int | None = None
    """Memory past which a worker is replaced between two trials; 0.8 of its cores' share of its node if None."""


@dataclass(frozen=True)
class Worker:
    """Which process a result came from, and whether it holds more memory than it should."""

    node: str
    pid: int
    outgrown: bool = False


class KerasTrial(tune.Trainable):  # type: ignore[misc]
    """A warm worker: the process, its data and its compiled models outlive the trial.

    A trial begins to train as soon as its worker hears of it, on a thread that does all the training, ahead of the call
    that asks for its result.
    """

    def setup(self, config: dict[str, Any], plan: TrialPlan | None = None) -> None:
        """Start the worker with its first trial; Ray wants a default for `plan` and always gives it."""
        assert plan is not None
        self._node, self._pid = socket.gethostname(), os.getpid()
        self._most_bytes = plan.worker_bytes or memory_share_bytes(plan.cpus)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trial")
        self._run = TrialRun(WarmSource(plan), CheckpointStore(plan.checkpoints), plan.rules)
        self._coming: Future[EpochResult] | None = None
        self.begin(config[START])

    def begin(self, start: TrialStart) -> None:
        """Take up a trial; the next `step` gives its first result."""
        self._coming = self._thread.submit(self._first_step, start)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial in place."""
        self.begin(new_config[START])
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next report; its result never says `done`, the driver decides."""
        coming = self._coming or self._thread.submit(self._run.step)
        self._coming = None
        result = coming.result()
        worker = Worker(self._node, self._pid, result.costs.rss_bytes > self._most_bytes)
        return {RESULT: result, WORKER: worker}

    def cleanup(self) -> None:
        """Finish what is still being written."""
        self._run.end()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep their own checkpoints, which outlive Ray's."""

    def load_checkpoint(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Nothing: a trial goes on from its own checkpoint when it begins."""

    def _first_step(self, start: TrialStart) -> EpochResult:
        self._run.begin(start)
        return self._run.step()


class WarmSource:
    """Loads data and model code at the first trial, so that what fails there fails the trial and not the actor."""

    def __init__(self, plan: TrialPlan) -> None:
        self._plan = plan
        self._ready: tuple[Any, Any, Any] | None = None
        self._startup_secs = 0.0

    def trainer(
        self, config: Mapping[str, object], computation: Computation | None, least_parts: int
    ) -> Trainer:
        """The worker's trainer for `config`'s structure, built when it has none."""
        if self._ready is None:
            self._ready = self._load()
            self._startup_secs = process_age_secs()
        trainers, family, task = self._ready
        trainer: Trainer = trainers.trainer(family, config, task, computation, least_parts)
        return trainer

    def take_startup_secs(self) -> float:
        """From the start of this process until its data and libraries were there, told once."""
        secs, self._startup_secs = self._startup_secs, 0.0
        return secs

    def make_room(self) -> None:
        """Drop every compiled model."""
        if self._ready is not None:
            self._ready[0].clear()

    def _load(self) -> tuple[Any, Any, Any]:
        plan = self._plan
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        dataset = load(replace(plan.data, source=received(plan.source)))
        expected = plan.rules.data_fingerprint
        if dataset.fingerprint != expected:
            raise RuntimeError(
                f"the images on this node are not those of the driver: fingerprint {dataset.fingerprint[:12]}, "
                f"expected {expected[:12]}"
            )
        with without(*NOT_FOR_TRAINING):
            import keras  # noqa: F401
        from trainables.engine import limit_threads
        from trainables.family import load_family
        from trainables.gpu_share import keep_to_share
        from trainables.task import Task
        from trainables.warm import WarmTrainers

        limit_threads(max(1, int(plan.cpus)))
        keep_to_share(plan.gpus)
        task = Task.of(dataset, plan.rules.max_epochs)
        choices = Choices(plan.choices) if plan.choices else None
        return WarmTrainers(asked=plan.asked, choices=choices), load_family(received(plan.family)), task
