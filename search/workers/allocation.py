"""Decides what a search's workers get: the Ray cluster, the share of a GPU, and the plan of their trials."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from toprung.cluster.first_node import wait_for_first_node
from toprung.cluster.placements import this_job
from toprung.cluster.session import Capacity, TrialResources, capacity_of, connected, joined_capacity
from toprung.cluster.worker_demand import WorkerDemand
from toprung.search.preparation.gpu_sharing import fixed_gpu_share, measure_gpu_share
from toprung.search.preparation.trial_plan import trial_plan
from toprung.search.preparation.workload import typical_workload
from toprung.search.workers.fair_share import FairShare
from toprung.search.workers.presence import WorkerPresence
from toprung.trainables.worker.preflight import announce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.preparation.prepare import PreparedJob
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.worker.plan import TrialPlan


@dataclass(frozen=True)
class WorkerAllocation:
    """What each worker is given, how many are wanted, and what happens when they die or do not come.

    Attributes:
        plan: What every worker is told.
        capacity: How many there are at the start, and where they reach this process.
        demand: How many are wanted from then on.
        share: How many it may keep while other searches wait for room.
        presence: How many were asked for and are here, for those who look.
        max_failures: Restarts of a trial whose worker died.
    """

    plan: TrialPlan
    capacity: Capacity
    demand: WorkerDemand
    share: FairShare
    max_failures: int
    presence: WorkerPresence = field(default_factory=WorkerPresence)


@contextmanager
def allocate_workers(
    prepared: PreparedJob, folder: RunFolder, earlier_gpus: float, address: str | None
) -> Iterator[WorkerAllocation]:
    """Connect to the Ray cluster at `address` for the block, see `connected`, and fit the job's workers to it.

    Args:
        prepared: The job.
        folder: Its run.
        earlier_gpus: The share of a GPU that trials of an earlier driver had; 0 without one.
        address: As of `connected`.

    Raises:
        ClusterUnreachableError: No cluster answers at the address, or no node came in time.
        RayStartError: There is no address, and Ray does not start on this machine.
        InputError: No node can ever hold a single worker.
    """
    job = prepared.job
    plan = replace(trial_plan(prepared, folder), preflight=announce(folder.root))
    gpus = fixed_gpu_share(job)
    resources = TrialResources(job.resources.cpus, gpus or 0.0, job.resources.concurrent)
    with connected(address, resources) as capacity:
        wait_secs = 60 * job.resources.wait_minutes
        if gpus is None and capacity.is_joined and not earlier_gpus:
            wait_for_first_node(resources, wait_secs)
        if gpus is None:
            measured = measure_gpu_share(prepared, plan, resources, earlier_gpus)
            resources = replace(resources, gpus=measured)
            capacity = (joined_capacity if capacity.is_joined else capacity_of)(resources, capacity.host)
        workload = typical_workload(prepared, capacity.concurrent)
        plan = replace(plan, gpus=resources.gpus, workload=workload)
        # Nothing joins a session of this machine: it has room for the number of workers that it was started for.
        fixed = replace(resources, concurrent=capacity.concurrent)
        demand = WorkerDemand(resources if capacity.is_joined else fixed, wait_secs)
        share = FairShare(this_job() if capacity.is_joined else "", has_gpus=resources.gpus > 0)
        yield WorkerAllocation(plan, capacity, demand, share, job.resources.max_failures)
