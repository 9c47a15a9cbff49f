"""The Ray Tune trainable: one worker, which trains trial after trial.

The driver imports this file for the class, the workers run it; TensorFlow is imported in the workers alone.
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
from toprung.trainables.trial.messages import (
    EpochResult,
    Instruction,
    Order,
    TrialStart,
    Worker,
    WorkerReport,
)
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage, memory_share_bytes, process_age_secs
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.connection import Address, connect_to_driver
from toprung.trainables.worker.trial_runner import Rules, TrialRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer_cache import TrainerCache
    from toprung.trainables.worker.interfaces import Trainer, TrainerSource


WORKER_SLOT = "slot"
"""The key of a worker's Ray configuration that holds its name at the driver's dispatcher; there is no other."""


@dataclass(frozen=True)
class TrialPlan:
    """What all trials of a search have in common; each worker gets it once.

    data, source: the images, and the file that gives them where they are a user's own.
    family: the model family, and the file that defines it where it is a user's own.
    checkpoints: where trials keep their states, a folder or a URI.
    rules: how trials are run.
    cpus, gpus: of each worker.
    execution: how trials are to be computed.
    workload: the trials that the choice of an execution plan is made for.
    deterministic: whether every operation has to repeat its result exactly.
    autotune: where workers share their choices of an execution plan, a folder or a URI; None: each chooses for itself.
    worker_bytes: the memory at which a worker is replaced between two trials; None for 0.8 of its cores' share.
    epoch_limit_secs: a worker without a result for longer is considered to hang.
    driver: where the driver listens; None until it does.
    """

    data: DataSpec
    source: SourceFile
    family: SourceFile
    checkpoints: str
    rules: Rules
    cpus: float
    gpus: float = 0.0
    execution: ExecutionRequest = field(default_factory=ExecutionRequest)
    workload: Workload = field(default_factory=Workload)
    deterministic: bool = False
    autotune: str | None = None
    worker_bytes: int | None = None
    epoch_limit_secs: float = 6 * 3600.0
    driver: Address | None = None


class KerasTrial(tune.Trainable):  # type: ignore[misc]
    """A warm worker: the process, its data and its compiled models outlive the trial.

    It reports every result to the driver and gets its instructions over a connection of its own; for Ray its whole life
    is one step of one trial.
    """

    def setup(self, config: dict[str, Any], plan: TrialPlan | None = None) -> None:
        """Connect to the driver; Ray demands a default of `plan` and always passes it."""
        assert plan is not None and plan.driver is not None
        self._slot = config[WORKER_SLOT]
        self._epoch_limit_secs, self._trial_id = plan.epoch_limit_secs, ""
        self._max_bytes = plan.worker_bytes or memory_share_bytes(plan.cpus)
        self._run = TrialRun(self.source(plan), CheckpointStore(plan.checkpoints), plan.rules)
        self._connection = connect_to_driver(plan.driver)

    def source(self, plan: TrialPlan) -> TrainerSource:
        """Where the worker's models come from."""
        return CachedTrainerSource(plan)

    def step(self) -> dict[str, Any]:
        """Carry out the driver's instructions until it shuts the worker down."""
        instruction: Instruction = self._connection.ask(self._slot)
        watchdog = Watchdog(self._epoch_limit_secs, self._report_timeout)
        while instruction is not Order.SHUTDOWN:
            with watchdog.kept():
                result = self._carry_out(instruction)
            instruction = self._report(result, result.resource_usage.rss_bytes > self._max_bytes)
        return {DONE: True}

    def _carry_out(self, instruction: Instruction) -> EpochResult:
        if isinstance(instruction, TrialStart):
            self._trial_id = instruction.trial_id
            self._run.begin(instruction)
        return self._run.step()

    def _report(self, result: EpochResult, recycled: bool) -> Instruction:
        worker = Worker(socket.gethostname(), os.getpid(), recycled)
        reply: Instruction = self._connection.ask(WorkerReport(self._trial_id, result, worker))
        return reply

    def _report_timeout(self) -> None:
        """End the trial and this process, where a call hangs that nothing else can end."""
        hours = self._epoch_limit_secs / 3600
        error = f"TimeoutError: no result after {hours:g} hours (resources.max_epoch_hours)"
        lost = ResourceUsage(trial_setup_secs=self._epoch_limit_secs)
        result = EpochResult(None, failure=Outcome.TIMEOUT, error=error, resource_usage=lost)
        self._report(result, recycled=True)

    def cleanup(self) -> None:
        """Finish writing checkpoints."""
        self._run.end()
        self._connection.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep checkpoints of their own, which outlive Ray's."""

    def load_checkpoint(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Nothing: a trial resumes from its own checkpoint when it begins."""


@dataclass(frozen=True)
class LoadedWorker:
    """What a worker loads once, at its first trial."""

    trainers: TrainerCache
    family: Family
    task: Task


class CachedTrainerSource:
    """Loads data and model code at the first trial, so that a failure fails that trial and not the Ray actor."""

    def __init__(self, plan: TrialPlan) -> None:
        self._plan = plan
        self._loaded: LoadedWorker | None = None
        self._startup_secs = 0.0

    def trainer(
        self, config: Mapping[str, object], plan: ExecutionPlan | None, min_micro_batches: int
    ) -> Trainer:
        """The worker's trainer of a configuration's structure, built if it has none."""
        if self._loaded is None:
            self._loaded = self._load()
            self._startup_secs = process_age_secs()
        loaded = self._loaded
        return loaded.trainers.trainer(loaded.family, config, loaded.task, plan, min_micro_batches)

    def take_startup_secs(self) -> float:
        """From the start of this process until data and libraries were loaded; 0 after the first call."""
        secs, self._startup_secs = self._startup_secs, 0.0
        return secs

    def make_room(self) -> None:
        """Drop every compiled model."""
        if self._loaded is not None:
            self._loaded.trainers.clear()

    def _load(self) -> LoadedWorker:
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
        store = AutotuneStore(plan.autotune) if plan.autotune else None
        trainers = TrainerCache(request=plan.execution, store=store, workload=plan.workload)
        family = load_family(unpack_source(plan.family))
        return LoadedWorker(trainers, family, dataset.task(plan.rules.max_epochs))
