"""The Ray Tune trainable: one worker, which trains trial after trial.

The driver imports this file for the class, the workers run it; TensorFlow is imported in the workers alone.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.result import DONE

from toprung.trainables.system.store_settings import adopt_store_settings
from toprung.trainables.system.watchdog import Watchdog
from toprung.trainables.trial.messages import (
    EpochResult,
    Instruction,
    Order,
    TrainingBegins,
    TrialStart,
    Worker,
    WorkerReady,
    WorkerReport,
)
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage, memory_share_bytes
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.connection import ConnectionLostError, connect_to_driver
from toprung.trainables.worker.preflight import node_problem
from toprung.trainables.worker.trainer_source import CachedTrainerSource
from toprung.trainables.worker.trial_runner import TrialRunner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.worker.interfaces import TrainerSource
    from toprung.trainables.worker.plan import TrialPlan


DRIVER_LOST_SECS = 30.0
"""How long a process whose driver is gone may live on."""
WORKER_SLOT = "slot"
"""The key of a worker's Ray configuration that holds its name at the driver's dispatcher; there is no other."""


class KerasTrial(tune.Trainable):  # type: ignore[misc]
    """A warm worker: the process, its data and its compiled models outlive the trial.

    It reports every result to the driver and gets its instructions over a connection of its own; for Ray its whole life
    is one step of one trial.
    """

    def setup(self, config: dict[str, Any], plan: TrialPlan | None = None) -> None:
        """Connect to the driver; Ray demands a default of `plan` and always passes it."""
        assert plan is not None and plan.driver is not None
        adopt_store_settings(plan.store_settings)
        self._slot, self._plan = config[WORKER_SLOT], plan
        node_id = ray.get_runtime_context().get_node_id()
        self._worker = Worker(socket.gethostname(), os.getpid(), node_id=node_id)
        self._epoch_limit_secs, self._trial_id = plan.epoch_limit_secs, ""
        self._max_bytes = plan.worker_bytes or memory_share_bytes(plan.cpus)
        store = CheckpointStore(plan.checkpoints)
        self._run = TrialRunner(self.source(plan), store, plan.rules, in_worker=True)
        self._connection = connect_to_driver(plan.driver)

    def source(self, plan: TrialPlan) -> TrainerSource:
        """Where the worker's models come from."""
        return CachedTrainerSource(plan)

    def step(self) -> dict[str, Any]:
        """Carry out the driver's instructions until it shuts the worker down."""
        try:
            return self._carry_out_instructions()
        except ConnectionLostError:
            # Ray ends this process once it has told the driver why; where it reaches none, nobody would.
            end = threading.Timer(DRIVER_LOST_SECS, os._exit, (1,))
            end.daemon = True
            end.start()
            raise

    def _carry_out_instructions(self) -> dict[str, Any]:
        ready = WorkerReady(self._slot, self._worker)
        instruction: Instruction = self._connection.ask(node_problem(self._plan) or ready)
        watchdog = Watchdog(self._epoch_limit_secs, self._report_timeout)
        while instruction is not Order.SHUTDOWN:
            if isinstance(instruction, TrialStart):
                with watchdog.limited():
                    self._begin(instruction)
            with watchdog.limited():
                result = self._run.step()
            instruction = self._report(result, result.resource_usage.rss_bytes > self._max_bytes)
        return {DONE: True}

    def _begin(self, start: TrialStart) -> None:
        """Set the trial up, and tell the driver, which watches the training and this apart."""
        self._trial_id = start.trial_id
        self._run.begin(start)
        self._connection.send(TrainingBegins())

    def _report(self, result: EpochResult, recycled: bool) -> Instruction:
        worker = replace(self._worker, recycled=recycled)
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
