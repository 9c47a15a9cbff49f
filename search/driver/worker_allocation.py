"""Decides what a search's workers get: the Ray cluster, the share of a GPU, and the plan of their trials."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toprung.cluster.session import Capacity, TrialResources, capacity_of, connected
from toprung.search.preparation.gpu_sharing import fixed_gpu_share, measure_gpu_share
from toprung.search.preparation.trial_plan import trial_plan
from toprung.search.preparation.workload import typical_workload
from toprung.trainables.worker.preflight import announce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.driver.open_run import OpenRun
    from toprung.trainables.worker.plan import TrialPlan


@dataclass(frozen=True)
class WorkerAllocation:
    """What each worker is given, how many there are, and how often a trial is restarted after its worker died."""

    plan: TrialPlan
    capacity: Capacity
    max_failures: int


@contextmanager
def allocate_workers(run: OpenRun, address: str | None) -> Iterator[WorkerAllocation]:
    """Connect to the Ray cluster at `address` for the block, see `connected`, and fit the job's workers to it.

    Raises:
        ClusterUnreachableError: No cluster answers at the address.
        RayStartError: There is no address, and Ray does not start on this machine.
        InputError: No node can hold a single worker.
    """
    job, prepared = run.job, run.prepared
    plan = replace(trial_plan(prepared, run.folder), preflight=announce(run.folder.root))
    gpus = fixed_gpu_share(job)
    resources = TrialResources(job.resources.cpus, gpus or 0.0, job.resources.concurrent)
    with connected(address, resources) as capacity:
        if gpus is None:
            share = measure_gpu_share(prepared, plan, resources, run.resumed.gpus)
            resources = replace(resources, gpus=share)
            capacity = capacity_of(resources, capacity.host)
        workload = typical_workload(prepared, capacity.concurrent)
        plan = replace(plan, gpus=resources.gpus, workload=workload)
        yield WorkerAllocation(plan, capacity, job.resources.max_failures)
