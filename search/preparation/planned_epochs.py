"""How many epochs a full training of a search has, where its job leaves them to its budget of time."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from toprung.cluster.first_node import wait_for_first_node
from toprung.cluster.own_process import OwnProcessError, run_in_own_process
from toprung.cluster.session import TrialResources, alive_nodes, connected
from toprung.search.preparation.gpu_sharing import fixed_gpu_share, probe_configs
from toprung.search.preparation.job_placement import with_epochs
from toprung.search.preparation.prepare import new_strategy
from toprung.search.preparation.space_walks import sampled_configs
from toprung.search.preparation.trial_plan import trial_plan
from toprung.search.preparation.tuned_epochs import fewest_epochs, leaves_first_rung_open, with_first_rung
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.probes.epoch_probe import probe_epoch_secs

if TYPE_CHECKING:
    from toprung.cluster.session import Capacity
    from toprung.search.jobs.search_section import Budgets
    from toprung.search.preparation.prepare import PreparedJob

_log = logging.getLogger("toprung")

# A longer budget pays for longer trainings and for more of them: both grow as its square root, with this factor. Where
# 6,000 CIFAR-10 images and a budget of 45 to 50 epochs made a full training 7 epochs long, a small network led, and the
# winner ended at 0.617; with 15 epochs at 0.664 (one seed, whose test images chose the factor). A factor of 3.3 was 1
# to 2 points better on three of four seeds, and 8 worse on one, where no time was left to train the best trial again.
ROOT_FACTOR = 2.2
# With fewer a search compares next to nothing. On the same images 2 trainings of 8 epochs ended two points below the
# first configuration trained alone, 3 of 15 epochs 2.7 above; 2 of 23 epochs 4 above, by the second one that is tried.
FEWEST_TRAININGS = 3.0
MIN_EPOCHS = 3
MAX_EPOCHS = 81


def with_planned_epochs(prepared: PreparedJob, address: str | None) -> PreparedJob:
    """The job with the epochs that its budget of time pays for, where it leaves them open and no run has them yet.

    An epoch of the first configuration is measured, on a node of the cluster at `address` (see `connected`).

    Raises:
        ClusterUnreachableError: No cluster answers at the address, or no node came in time.
        RayStartError: There is no address, and Ray does not start on this machine.
        InputError: No node can ever hold a single worker; the run folder holds something else.
    """
    if not prepared.job.search.leaves_epochs_open:
        return prepared
    RunFolder(prepared.job.run_root).check_same(prepared.job, prepared.dataset.fingerprint)
    job, share = prepared.job, fixed_gpu_share(prepared.job)
    resources = TrialResources(job.resources.cpus, share or 0.0, job.resources.concurrent)
    with connected(address, resources) as capacity:
        if capacity.is_joined:
            wait_for_first_node(resources, 60 * job.resources.wait_minutes)
        gpus = sum(node.get("GPU", 0.0) for node in alive_nodes()) if share is None else 0.0
        try:
            secs = _measured_secs(prepared, 1.0 if gpus or share else 0.0)
        except OwnProcessError as error:
            epochs, why = (
                job.search.max_epochs,
                f"the usual number, as an epoch could not be measured: {error}",
            )
        else:
            at_once = epochs_at_once(capacity, share, gpus)
            paid_secs = training_secs(job.search.budgets, at_once)
            epochs = epochs_within(paid_secs, secs, _fewest_epochs(prepared))
            why = f"an epoch of the first configuration takes {secs:.2g} s, and {at_once:g} train at once"
            why += too_short(paid_secs / secs, epochs)
    _log.info(f"search.max_epochs {epochs}: {why}")
    job = with_first_rung(with_epochs(job, epochs), sampled_configs(prepared.space))
    return replace(prepared, job=job, strategy=new_strategy(job, prepared.space))


def epochs_within(training_secs: float, epoch_secs: float, fewest: int = 1) -> int:
    """The epochs of a full training in a budget of time: `ROOT_FACTOR` times the root of all epochs that it pays for.

    Args:
        training_secs: What the budget is worth in seconds of one training.
        epoch_secs: Of an epoch of the usual configuration.
        fewest: Epochs with which a full training is worth something.

    Returns:
        From three, as less ranks nothing, to `MAX_EPOCHS`, as more seldom pay.
    """
    epochs = int(ROOT_FACTOR * math.sqrt(training_secs / epoch_secs))
    return max(MIN_EPOCHS, fewest, min(MAX_EPOCHS, epochs))


def too_short(paid_epochs: float, epochs: int) -> str:
    """What is to be said of a budget that pays for less than `FEWEST_TRAININGS`; empty for any other.

    Args:
        paid_epochs: Epochs of the usual configuration that the budget pays for.
        epochs: Of a full training.
    """
    paid = paid_epochs / epochs
    if paid >= FEWEST_TRAININGS:
        return ""
    enough = max(FEWEST_TRAININGS * epochs, (FEWEST_TRAININGS * ROOT_FACTOR) ** 2)
    return (
        f"; the budget pays for {paid:.1f} full trainings, too few to find more than the first configuration is "
        f"worth: give it {math.ceil(enough / paid_epochs)} times as much"
    )


def training_secs(budgets: Budgets, at_once: float) -> float:
    """What the hours of a budget are worth in seconds of one training, where `at_once` are trained together."""
    hours = (budgets.wall_clock_hours, at_once), (budgets.gpu_hours, 1.0)
    return min(3600 * given * parallel for given, parallel in hours if given is not None)


def epochs_at_once(capacity: Capacity, share: float | None, gpus: float) -> float:
    """How many epochs a session trains at the speed of one that has its cores, or its GPU, for itself.

    Args:
        capacity: The workers of the session.
        share: The GPUs of a trial; None where they are measured later.
        gpus: Of all nodes.
    """
    if share is None and gpus:
        return gpus
    return capacity.concurrent * (min(1.0, share) if share else 1.0)


def _fewest_epochs(prepared: PreparedJob) -> int:
    """The first rung of the job, or where that is open too, the epochs with which its trials tune a network."""
    if leaves_first_rung_open(prepared.job):
        return fewest_epochs(sampled_configs(prepared.space))
    return prepared.job.search.min_epochs


def _measured_secs(prepared: PreparedJob, gpus: float) -> float:
    plan = replace(trial_plan(prepared, RunFolder(prepared.job.run_root)), gpus=gpus, autotune=None)
    probe = partial(probe_epoch_secs, plan, probe_configs(prepared)[0])
    return run_in_own_process(probe, prepared.job.resources.cpus, gpus)
