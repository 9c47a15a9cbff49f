"""The Ray Tune trainable: the working life of one worker, which trains trial after trial.

Loaded by the driver for its class and by the workers for its work; TensorFlow is imported in the workers alone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.result import DONE

from toprung.spaces.user_code.source_files import SourceFile, unpack_source
from toprung.trainables.backend.autotune import AutotuneStore, Workload
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.system.imports import block_imports, imports_not_needed_for_training
from toprung.trainables.system.watchdog import Watchdog
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRequest
from toprung.trainables.trial.messages import Answer, EpochResult, Order, TrialStart, Worker, WorkerReport
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage, memory_share_bytes, process_age_secs
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.connection import Address, connect_to_driver
from toprung.trainables.worker.trial_runner import Rules, TrialRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.worker.interfaces import Trainer, TrainerSource


WORKER_SLOT = "slot"
"""What a worker is called at its driver's dispatcher; all that its configuration holds."""


@dataclass(frozen=True)
class TrialPlan:
    """What every trial of a search shares; each worker gets it once."""

    data: DataSpec
    source: SourceFile
    family: SourceFile
    checkpoints: str
    rules: Rules
    cpus: float
    gpus: float = 0.0
    asked: ExecutionRequest = field(default_factory=ExecutionRequest)
    usual: Workload = field(default_factory=Workload)
    deterministic: bool = False
    choices: str | None = None
    """Where the workers keep how they chose to compute; each chooses for itself if None."""
    worker_bytes: int | None = None
    """Memory past which a worker is replaced between two trials; 0.8 of its cores' share of its node if None."""
    epoch_limit_secs: float = 6 * 3600.0
    """A worker that tells nothing for longer is taken to hang."""
    driver: Address | None = None
    """Where the driver listens; None until it does."""


class KerasTrial(tune.Trainable):  # type: ignore[misc]
    """A warm worker: the process, its data and its compiled models outlive the trial.

    It tells the driver every result and hears what to do next without a way through Ray; for Ray its whole life is
    one step of one trial.
    """

    def setup(self, config: dict[str, Any], plan: TrialPlan | None = None) -> None:
        """Reach the driver; Ray wants a default for `plan` and always gives it."""
        assert plan is not None and plan.driver is not None
        self._slot = config[WORKER_SLOT]
        self._limit_secs, self._trial_id = plan.epoch_limit_secs, ""
        self._most_bytes = plan.worker_bytes or memory_share_bytes(plan.cpus)
        self._run = TrialRun(self.source(plan), CheckpointStore(plan.checkpoints), plan.rules)
        self._line = connect_to_driver(plan.driver)

    def source(self, plan: TrialPlan) -> TrainerSource:
        """Where the worker's models come from."""
        return CachedTrainerSource(plan)

    def step(self) -> dict[str, Any]:
        """Train whatever the driver says, until it sends the worker home."""
        answer: Answer = self._line.ask(self._slot)
        deadline = Watchdog(self._limit_secs, self._tell_overrun)
        while answer is not Order.SHUTDOWN:
            with deadline.limited():
                result = self._trained(answer)
            answer = self._tell(result, result.costs.rss_bytes > self._most_bytes)
        return {DONE: True}

    def _trained(self, answer: Answer) -> EpochResult:
        if isinstance(answer, TrialStart):
            self._trial_id = answer.trial_id
            self._run.begin(answer)
        return self._run.step()

    def _tell(self, result: EpochResult, is_last: bool) -> Answer:
        worker = Worker(socket.gethostname(), os.getpid(), is_last)
        answer: Answer = self._line.ask(WorkerReport(self._trial_id, result, worker))
        return answer

    def _tell_overrun(self) -> None:
        """The trial is over, and so is this process, where a call hangs that nobody can end."""
        error = f"TimeoutError: no result after {self._limit_secs / 3600:g} hours (resources.max_epoch_hours)"
        lost = ResourceUsage(trial_setup_secs=self._limit_secs)
        self._tell(EpochResult(None, failure=Outcome.TIMEOUT, error=error, costs=lost), is_last=True)

    def cleanup(self) -> None:
        """Finish what is still being written."""
        self._run.end()
        self._line.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep their own checkpoints, which outlive Ray's."""

    def load_checkpoint(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Nothing: a trial goes on from its own checkpoint when it begins."""


class CachedTrainerSource:
    """Loads data and model code at the first trial, so that what fails there fails the trial and not the actor."""

    def __init__(self, plan: TrialPlan) -> None:
        self._plan = plan
        self._ready: tuple[Any, Any, Any] | None = None
        self._startup_secs = 0.0

    def trainer(
        self, config: Mapping[str, object], computation: ExecutionPlan | None, least_parts: int
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
        dataset = load(replace(plan.data, source=unpack_source(plan.source)))
        expected = plan.rules.data_fingerprint
        if dataset.fingerprint != expected:
            raise RuntimeError(
                f"the images on this node are not those of the driver: fingerprint {dataset.fingerprint[:12]}, "
                f"expected {expected[:12]}"
            )
        with block_imports(*imports_not_needed_for_training()):
            import keras  # noqa: F401
        from toprung.trainables.backend.engine import enable_determinism, limit_threads
        from toprung.trainables.backend.gpu_memory import apply_memory_cap
        from toprung.trainables.models.family import load_family
        from toprung.trainables.training.trainer_cache import TrainerCache

        limit_threads(max(1, int(plan.cpus)))
        apply_memory_cap(plan.gpus)
        if plan.deterministic:
            enable_determinism()
        task = dataset.task(plan.rules.max_epochs)
        choices = AutotuneStore(plan.choices) if plan.choices else None
        warm = TrainerCache(asked=plan.asked, choices=choices, usual=plan.usual)
        return warm, load_family(unpack_source(plan.family)), task
