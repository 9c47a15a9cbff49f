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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from toprung.cluster.interrupts import restore_signal_handlers
from toprung.cluster.reachable import DeadNodes
from toprung.cluster.withheld_credentials import aws_keys_withheld
from toprung.cluster.worker_server import accept_workers
from toprung.search.workers.dispatcher import Dispatcher, DispatchRules
from toprung.search.workers.ray_metrics import SearchCounts, published_to_ray
from toprung.search.workers.slots import WorkerEnd
from toprung.trainables.worker.ray_trainable import WORKER_SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ray.actor import ActorHandle
    from ray.tune.execution.tune_controller import TuneController

    from toprung.cluster.worker_demand import WorkerDemand
    from toprung.search.loop.search_loop import SearchLoop
    from toprung.search.workers.allocation import WorkerAllocation

# Ray Tune without what the tables already do; how many workers it starts is the dispatcher's choice.
TUNE_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    # Tune imports MLflow and W&B, seconds of a core, to count the kinds of callbacks that it is given as objects. The
    # user's own callbacks would see slots of workers and no trials.
    "RAY_TUNE_CALLBACKS": f"{__name__}.SilentProgress",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
NODE_DEATHS = ("its node has died", "The node was preempted")
"""What Ray's error says when a worker's node died."""
MAX_GRACE_SECS = 60.0


class WorkerSlotSearcher(Searcher):  # type: ignore[misc]
    """Hands Ray a slot at the dispatcher for each worker wanted."""

    def __init__(self, dispatcher: Dispatcher, demand: WorkerDemand) -> None:
        super().__init__(metric=None, mode=None)
        self._dispatcher, self._demand = dispatcher, demand

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A slot for one worker, None to be asked again, FINISHED when no more are needed."""
        self._dispatcher.raise_error()
        if self._dispatcher.finished:
            return str(Searcher.FINISHED)
        self._demand.check(self._dispatcher.connected)
        if self._dispatcher.slots < self._demand.wanted and self._dispatcher.open_slot(trial_id):
            return {WORKER_SLOT: trial_id}
        return str(Searcher.FINISHED) if self._dispatcher.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A worker has shut down, or was never needed; `SlotScheduler` hears of one that died before."""
        self._dispatcher.close_slot(trial_id, WorkerEnd.DIED if error else WorkerEnd.SHUT_DOWN)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray writes its searcher to disk to restore it, and the tables are the only memory."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""


class SlotScheduler(FIFOScheduler):  # type: ignore[misc]
    """Takes back slots that are not needed any more, kills silent workers, tells the dispatcher of what others died."""

    def __init__(self, dispatcher: Dispatcher, workers: WorkerAllocation) -> None:
        super().__init__()
        self._dispatcher, self._workers = dispatcher, workers
        self._dead_nodes = DeadNodes()

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Ray's own choice; it asks ten times a second."""
        self._dispatcher.limit_workers(self._workers.share.limit)
        self._note_presence()
        live = [trial for trial in tune_controller.get_trials() if not trial.is_finished()]
        waiting = {trial.trial_id: trial for trial in live if trial.status == Trial.PENDING}
        for slot in self._dispatcher.surplus(list(waiting)):
            tune_controller.stop_trial(waiting[slot])
        late = self._dispatcher.overdue()
        for trial in live:
            if trial.trial_id in late and trial.temporary_state.ray_actor is not None:
                kill_actor(trial.temporary_state.ray_actor)
        return super().choose_trial_to_run(tune_controller)

    def _note_presence(self) -> None:
        open_slots, placed = self._dispatcher.slots, self._workers.share.placed
        presence = self._workers.presence
        presence.asked = min(open_slots, self._workers.demand.hoped_for)
        presence.here = self._dispatcher.connected
        presence.placed = open_slots if placed is None else placed

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """A worker died: Ray's error says whether its node did, or the node itself, of which Ray hears later."""
        node_id = self._dispatcher.node_id_of(trial.trial_id)
        is_node_dead = bool(node_id) and node_id in self._dead_nodes
        end, cause = end_of_worker(Path(trial.error_file).read_text(), is_node_dead)
        self._dispatcher.close_slot(trial.trial_id, end, cause)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray writes its scheduler to disk to restore it, and the tables are the only memory."""
        return {}


class SilentProgress(TrialProgressCallback):  # type: ignore[misc]
    """Takes the place of Tune's own, which prints a line for each slot that was not needed, at any verbosity."""

    def on_trial_result(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def on_trial_error(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        """Nothing."""


def kill_actor(actor: ActorHandle) -> None:
    """Kill a worker's process through Ray, which does so too where the process is stopped."""
    import ray

    ray.kill(actor)


def end_of_worker(error: str, is_node_dead: bool) -> tuple[WorkerEnd, str]:
    """How a worker ended, and its cause in a line, from the text of Ray's error and what its node itself says."""
    if is_node_dead or any(sign in error for sign in NODE_DEATHS):
        return WorkerEnd.NODE_DIED, ""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    return WorkerEnd.DIED, lines[-1] if lines else ""


def run_workers(loop: SearchLoop, workers: WorkerAllocation, name: str) -> None:
    """Have workers train the loop's trials until it is finished.

    Args:
        loop: Has the trials.
        workers: The resources and the plan of each worker, and how many there are.
        name: The experiment's name in Ray Tune.

    Raises:
        ClusterUnreachableError: Workers cannot connect to this process, or no node came in time.
    """
    from ray import tune

    from toprung.trainables.worker.ray_trainable import KerasTrial

    plan, capacity = workers.plan, workers.capacity
    max_early_proposals = capacity.concurrent if capacity.proposes_early else 0
    # The worker's own watch comes first, which can say more.
    silence_limit_secs = plan.epoch_limit_secs + min(MAX_GRACE_SECS, plan.epoch_limit_secs / 4)
    dispatcher = Dispatcher(
        loop, DispatchRules(max_early_proposals, workers.max_failures, silence_limit_secs)
    )
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="toprung-"))
        stack.enter_context(_environment(TUNE_SETTINGS))
        stack.enter_context(aws_keys_withheld())
        stack.enter_context(restore_signal_handlers(signal.SIGUSR1))  # Tune's own would stay for good
        driver = stack.enter_context(accept_workers(capacity.host, dispatcher.serve))
        plan = replace(plan, driver=driver)
        stack.callback(dispatcher.close)
        if capacity.is_joined:
            stack.enter_context(published_to_ray(SearchCounts(loop, dispatcher, workers.demand), name))
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(KerasTrial, plan=plan), {"cpu": plan.cpus, "gpu": plan.gpus}
            ),
            tune_config=tune.TuneConfig(
                search_alg=WorkerSlotSearcher(dispatcher, workers.demand),
                scheduler=SlotScheduler(dispatcher, workers),
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
