"""The Ray task that trains the winner: placed, waited for, and killed where it sends no word."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.cluster.worker_demand import LOOK_EVERY_SECS, amounts
from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.winner.train_and_test import EpochTrained, train_and_test
from toprung.spaces.errors import InputError
from toprung.trainables.worker.preflight import NodeUnfitError, node_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray import ObjectRef, ObjectRefGenerator
    from ray.util.placement_group import PlacementGroup

    from toprung.cluster.worker_demand import WorkerDemand
    from toprung.search.retrained.json_files import Report
    from toprung.search.winner.winner_training import WinnerTraining

_log, _progress_log = logging.getLogger("toprung"), logging.getLogger(PROGRESS_LOG)
KILL_SECS = 10.0
"""How long the node of a silent process may take to kill it; a node that is frozen as a whole does not answer."""
FINISH_SECS = 3600.0
"""How long what follows the last epoch may take: the file is read back in a new process and tested."""


class WorkerLostError(RuntimeError):
    """The process or the node that trained is gone or silent; another goes on from the saved state."""


@dataclass(frozen=True)
class Started:
    """The training has begun: on a node, whose id is Ray's, in a process."""

    node: str
    node_id: str
    pid: int


class TrainingTask:
    """One attempt to train the winner, which follows the task wherever Ray places it.

    Args:
        work: The run and the winner.
        demand: Says what the cluster lacks while the task has no node.
        limit_secs: An epoch, or the set-up before the first one, that takes longer is over: its process is killed.
    """

    def __init__(self, work: WinnerTraining, demand: WorkerDemand, limit_secs: float) -> None:
        self._work, self._demand, self._limit_secs = work, demand, limit_secs
        self._started: Started | None = None
        self._deadline_secs = math.inf
        self._said_busy = False

    def messages(self) -> Iterator[EpochTrained | Report]:
        """Train to the report.

        Raises:
            WorkerLostError: The task's process or node died, or is silent.
            NoNodeError: No node that can hold it came in time.
            SearchFailedError, InputError, NodeUnfitError: What the training raised.
        """
        import ray

        trial = self._work.plan.trial
        # An autoscaler sees its demand as that of a worker, and Ray says of it whether it has a node.
        place = ray.util.placement_group([{"CPU": trial.cpus, **({"GPU": trial.gpus} if trial.gpus else {})}])
        stream = self._submit(place)
        try:
            while (reference := self._next(stream, place)) is not None:
                message = ray.get(reference)
                if isinstance(message, BaseException):
                    raise message
                if isinstance(message, Started):
                    self._begin(message)
                else:
                    self._deadline_secs = time.monotonic() + self._secs_after(message)
                    yield message
        except ray.exceptions.RayTaskError as error:
            raise SearchFailedError(_lines(error)[-1]) from None
        except ray.exceptions.RayError as error:
            raise WorkerLostError(_lines(error)[0]) from None
        finally:
            ray.cancel(stream, force=True)
            ray.util.remove_placement_group(place)

    def _submit(self, place: PlacementGroup) -> ObjectRefGenerator:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        trial = self._work.plan.trial
        # A process gives a GPU's memory back only when it ends: one task each. Ray's own retries would drop as many
        # messages as the first attempt sent, though the second begins in the middle.
        task = ray.remote(
            num_cpus=trial.cpus, num_gpus=trial.gpus, max_calls=1, max_retries=0, num_returns="streaming"
        )(_messages)
        strategy = PlacementGroupSchedulingStrategy(place)
        named = task.options(name=f"retrain {self._work.run_name}", scheduling_strategy=strategy)
        return named.remote(self._work)

    def _next(self, stream: ObjectRefGenerator, place: PlacementGroup) -> ObjectRef | None:
        """The next message; None after the last one."""
        import ray

        while not ray.wait([stream], timeout=LOOK_EVERY_SECS, fetch_local=False)[0]:
            self._look(place)
        return next(stream, None)

    def _begin(self, started: Started) -> None:
        self._started = started
        # The set-up and the first epoch, each within the limit.
        self._deadline_secs = time.monotonic() + 2 * self._limit_secs
        _progress_log.info("training %s on %s", self._work.winner.trial_id, started.node)

    def _secs_after(self, message: EpochTrained | Report) -> float:
        """How long the next message may take."""
        is_last = isinstance(message, EpochTrained) and message.epoch == self._work.epochs
        return max(self._limit_secs, FINISH_SECS) if is_last else self._limit_secs

    def _look(self, place: PlacementGroup) -> None:
        """Called while there is no message: says what is waited for, and ends a process that sends no word."""
        if self._started is None and not _has_node(place):
            self._deadline_secs = math.inf
            self._say_waiting()
        elif self._deadline_secs == math.inf:
            self._deadline_secs = time.monotonic() + 2 * self._limit_secs
        elif time.monotonic() > self._deadline_secs:
            if self._started is not None:
                _kill(self._started)
            where = self._started.node if self._started else "its node"
            raise WorkerLostError(
                f"no word from {where} for {self._limit_secs / 3600:.3g} hours (resources.max_epoch_hours)"
            )

    def _say_waiting(self) -> None:
        self._demand.check(0)
        if self._demand.fits and not self._said_busy:
            self._said_busy = True
            trial = self._work.plan.trial
            _log.warning(f"waiting for {amounts(trial.cpus, trial.gpus)}: other work has the cluster's nodes")


def _has_node(place: PlacementGroup) -> bool:
    from ray.util import placement_group_table

    return bool(placement_group_table(place)["state"] == "CREATED")


def _messages(work: WinnerTraining) -> Iterator[Started | EpochTrained | Report | BaseException]:
    """What the driver is sent; errors of the project as values, since Ray would wrap them into its own."""
    import ray

    if problem := node_problem(work.plan.trial):
        yield NodeUnfitError(problem.line)
        return
    yield Started(socket.gethostname(), ray.get_runtime_context().get_node_id(), os.getpid())
    try:
        yield from train_and_test(work, in_worker=True)
    except (SearchFailedError, InputError) as error:
        yield error


def _kill(started: Started) -> None:
    """Kill the process from its own node: Ray's cancelling asks the process itself, which may be stopped."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(started.node_id, soft=False)
    kill = ray.remote(num_cpus=0, max_retries=0)(_kill_process).options(scheduling_strategy=there)
    with suppress(ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
        ray.get(kill.remote(started.pid), timeout=KILL_SECS)


def _kill_process(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _lines(error: BaseException) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]
