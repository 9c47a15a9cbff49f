"""The winner's training on whichever node of a cluster has its resources, followed from this process."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toprung.cluster.session import TrialResources, connected
from toprung.cluster.worker_demand import WorkerDemand
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.winner.train_and_test import EpochTrained
from toprung.search.winner.training_task import TrainingTask, WorkerLostError
from toprung.trainables.worker.preflight import announce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.retrained.json_files import Report
    from toprung.search.winner.winner_training import WinnerTraining

_log = logging.getLogger("toprung")


@dataclass(frozen=True)
class Patience:
    """What a training on a cluster puts up with.

    Attributes:
        max_failures: Deaths of its process or node without an epoch between them.
        wait_secs: For how long no node may be there that can hold it.
    """

    max_failures: int
    wait_secs: float


def train_on_cluster(
    work: WinnerTraining, address: str | None, patience: Patience
) -> Iterator[EpochTrained | Report]:
    """As `train_and_test`, on a node of the cluster at `address`.

    A training whose process or node died, or sends no word for the plan's `epoch_limit_secs`, goes on from its saved
    state on another.

    Raises:
        ClusterUnreachableError: No cluster answers at the address, or no node came in time.
        SearchFailedError: The training diverged or failed, or lost its worker too often.
        NodeUnfitError: The node that was to train differs from this one.
        InputError: No node can ever hold it.
    """
    trial = work.plan.trial
    resources = TrialResources(trial.cpus, trial.gpus, concurrent=1)
    with connected(address, resources):
        checked = replace(trial, preflight=announce(work.folder.root))
        work = replace(work, plan=replace(work.plan, trial=checked))
        failures, last = 0, (0, 0)
        while True:
            task = TrainingTask(work, WorkerDemand(resources, patience.wait_secs), trial.epoch_limit_secs)
            try:
                for message in task.messages():
                    if isinstance(message, EpochTrained) and message.progress > last:
                        failures, last = 0, message.progress
                    yield message
                return
            except WorkerLostError as error:
                failures += 1
                if failures > patience.max_failures:
                    raise SearchFailedError(
                        f"the retraining of {work.winner.trial_id} lost its worker {failures} times at epoch "
                        f"{last[1] + 1} ({error}); the same command goes on from its last saved state"
                    ) from None
                _log.warning(
                    "the retraining lost its worker (%s) and goes on from its last saved state", error
                )
