"""Ray Tune's Searcher: Ray starts the workers of a search, and replaces those that die.

A Tune trial is the working life of one worker, which is told by the dispatcher what to train. Through Ray itself a new
trial would take tens of milliseconds of folders, resets and round trips, and a result four, in which the worker would
wait. Trials keep their own checkpoints, so that one can continue on any worker and Ray restores nothing.
"""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from toprung.cluster.interrupts import restore_signal_handlers
from toprung.cluster.worker_server import accept_workers
from toprung.search.driver.dispatcher import Dispatcher
from toprung.trainables.worker.ray_trainable import WORKER_SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.search.driver.search_loop import SearchLoop
    from toprung.search.driver.worker_allocation import WorkerAllocation


class WorkerSlotSearcher(Searcher):  # type: ignore[misc]
    """Hands Ray a slot at the dispatcher for each of `concurrent` workers."""

    def __init__(self, dispatcher: Dispatcher, concurrent: int) -> None:
        super().__init__(metric=None, mode=None)
        self._dispatcher, self._concurrent = dispatcher, concurrent

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A slot for one worker, None to be asked again, FINISHED when no more are needed."""
        self._dispatcher.raise_error()
        if self._dispatcher.slots < self._concurrent and self._dispatcher.open_slot(trial_id):
            return {WORKER_SLOT: trial_id}
        return str(Searcher.FINISHED) if self._dispatcher.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A worker has shut down, or has died."""
        self._dispatcher.close_slot(trial_id, died=error)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray writes its searcher to disk to restore it, and the tables are the only memory."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""


def run_workers(loop: SearchLoop, workers: WorkerAllocation, name: str) -> None:
    """Have workers train the loop's trials until it is finished.

    Args:
        loop: Has the trials.
        workers: The resources and the plan of each worker, and how many there are.
        name: The experiment's name in Ray Tune.

    Raises:
        ClusterUnreachableError: Workers cannot connect to this process.
    """
    from ray import tune

    from toprung.trainables.worker.ray_trainable import KerasTrial

    plan, capacity = workers.plan, workers.capacity
    max_early_proposals = capacity.concurrent if capacity.proposes_early else 0
    dispatcher = Dispatcher(loop, max_early_proposals, workers.max_failures)
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="toprung-"))
        stack.enter_context(_environment(_tune_settings(capacity.concurrent)))
        stack.enter_context(restore_signal_handlers(signal.SIGUSR1))  # Tune's own would stay for good
        driver = stack.enter_context(accept_workers(capacity.host, dispatcher.serve))
        plan = replace(plan, driver=driver)
        stack.callback(dispatcher.close)
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(KerasTrial, plan=plan), {"cpu": plan.cpus, "gpu": plan.gpus}
            ),
            tune_config=tune.TuneConfig(
                search_alg=WorkerSlotSearcher(dispatcher, capacity.concurrent),
                num_samples=-1,
                trial_name_creator=lambda trial: str(trial.trial_id),
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=scratch,
                verbose=0,
                progress_reporter=tune.CLIReporter(),  # Tune's reporter for notebooks clears the cell's output
                # The dispatcher counts failures, for each trial of ours.
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        ).fit()
        dispatcher.raise_error()  # the searcher is not asked any more when the last worker has ended


def _tune_settings(workers: int) -> dict[str, str]:
    """Ray Tune without what the tables already do, and with as many workers starting at once as there is room for."""
    return {
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "3600",
        "TUNE_MAX_PENDING_TRIALS_PG": str(workers),
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
    }


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the block."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
