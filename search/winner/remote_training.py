"""The winner's training as a Ray task on whichever node of a cluster has its resources, followed from this process."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toprung.cluster.session import TrialResources, connected
from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.winner.train_and_test import EpochTrained, train_and_test
from toprung.spaces.errors import InputError
from toprung.trainables.worker.preflight import NodeUnfitError, announce, node_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.winner.report import Report
    from toprung.search.winner.winner_training import WinnerTraining

_log, _progress_log = logging.getLogger("toprung"), logging.getLogger(PROGRESS_LOG)


@dataclass(frozen=True)
class Started:
    """The training has begun on a node."""

    node: str


def train_on_cluster(
    work: WinnerTraining, address: str | None, max_failures: int
) -> Iterator[EpochTrained | Report]:
    """As `train_and_test`, on a node of the cluster at `address`.

    A training whose worker or node died goes on from its saved state on another, `max_failures` times without an epoch
    more.

    Raises:
        ClusterUnreachableError: No cluster answers at the address.
        SearchFailedError: The training diverged or failed, or lost its worker too often.
        NodeUnfitError: The node that was to train differs from this one.
        InputError: No node can hold it.
    """
    trial = work.plan.trial
    with connected(address, TrialResources(trial.cpus, trial.gpus, concurrent=1)):
        checked = replace(trial, preflight=announce(work.folder.root))
        work = replace(work, plan=replace(work.plan, trial=checked))
        failures, last_epoch = 0, 0
        while True:
            try:
                for message in _attempt(work):
                    if isinstance(message, EpochTrained) and message.epoch > last_epoch:
                        failures, last_epoch = 0, message.epoch
                    yield message
                return
            except WorkerLostError as error:
                failures += 1
                if failures > max_failures:
                    raise SearchFailedError(
                        f"the retraining of {work.winner.trial_id} lost its worker {failures} times at epoch "
                        f"{last_epoch + 1} ({error}); the same command goes on from its last saved state"
                    ) from None
                _log.warning(
                    "the retraining lost its worker (%s) and goes on from its last saved state", error
                )


class WorkerLostError(RuntimeError):
    """The process or the node that trained is gone; another goes on."""


def _attempt(work: WinnerTraining) -> Iterator[EpochTrained | Report]:
    """One task from its start to its report.

    Raises:
        WorkerLostError: The task's process or node died.
        Exception: What the task raised.
    """
    import ray

    trial = work.plan.trial
    # A process gives a GPU's memory back only when it ends: one task each. Ray's own retries would drop as many
    # messages as the first attempt sent, though the second begins in the middle.
    task = ray.remote(
        num_cpus=trial.cpus, num_gpus=trial.gpus, max_calls=1, max_retries=0, num_returns="streaming"
    )(_messages)
    messages = task.options(name=f"retrain {work.run_name}").remote(work)
    try:
        for reference in messages:
            message = ray.get(reference)
            if isinstance(message, BaseException):
                raise message
            if isinstance(message, Started):
                _progress_log.info("training %s on %s", work.winner.trial_id, message.node)
            else:
                yield message
    except ray.exceptions.RayTaskError as error:
        raise SearchFailedError(_lines(error)[-1]) from None
    except ray.exceptions.RayError as error:
        raise WorkerLostError(_lines(error)[0]) from None
    finally:
        ray.cancel(messages, force=True)


def _messages(work: WinnerTraining) -> Iterator[Started | EpochTrained | Report | BaseException]:
    """What the driver is sent; errors of ours as values, since Ray would wrap them into its own."""
    if problem := node_problem(work.plan.trial):
        yield NodeUnfitError(problem.line)
        return
    yield Started(socket.gethostname())
    try:
        yield from train_and_test(work, in_worker=True)
    except (SearchFailedError, InputError) as error:
        yield error


def _lines(error: BaseException) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]
