"""The share of a GPU that each trial gets, measured where the job leaves it open."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from toprung.cluster.own_process import OwnProcessError, run_in_own_process
from toprung.cluster.session import TrialResources, capacity_of, trials_per_gpu
from toprung.search.preparation.prepare import first_configs
from toprung.search.preparation.workload import typical_workload
from toprung.search.strategy.sampling.samplers import sample
from toprung.trainables.probes.gpu_probe import probe_trials

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.search.jobs.schema import Job
    from toprung.search.preparation.prepare import PreparedJob
    from toprung.trainables.probes.gpu_probe import GpuNeed
    from toprung.trainables.worker.plan import TrialPlan

_log = logging.getLogger("toprung")
AUTO: Final = "auto"
PROBES = 8  # configurations to measure: the first ones of the search, the others drawn at random


def fixed_gpu_share(job: Job) -> float | None:
    """The GPUs of a trial as the job gives them; None where they are to be measured."""
    gpus = job.resources.gpus
    return None if gpus == AUTO else gpus


def measure_gpu_share(
    prepared: PreparedJob, plan: TrialPlan, resources: TrialResources, earlier: float
) -> float:
    """The share of a GPU that a trial needs, measured on a few configurations.

    Args:
        prepared: The job.
        plan: What its workers are told.
        resources: What a trial takes beside its share of a GPU.
        earlier: The share that the run has measured before, 0 for none; a run continues as it began.

    Returns:
        0 without any GPU, and a whole one where nothing could be measured.

    Raises:
        InputError: No node has a GPU and the cores of a trial.
    """
    most = trials_per_gpu(resources)
    if most <= 1 or earlier > 0.0:
        share = earlier or float(most)
        explanation = f"{share:g} of one for each trial" if share else "there is none, trials compute on CPUs"
        _log.info(f"resources.gpus auto: {explanation}")
        return share
    workers = capacity_of(replace(resources, gpus=1.0), "").concurrent
    # The process that measures also chooses how to compute: for workers that have a GPU each, before it is known.
    plan = replace(plan, workload=typical_workload(prepared, workers))
    measure = partial(probe_trials, plan, probe_configs(prepared))
    share, explanation = share_from_measurement(measure, most, resources.cpus)
    _log.info(f"resources.gpus auto: {explanation}")
    return share


def share_from_measurement(
    measure: Callable[[], GpuNeed | None], most: int, cpus: float
) -> tuple[float, str]:
    """The share of a GPU that holds a trial, and a line that says why.

    Args:
        measure: Called in a process that has a whole GPU; returns None where no device reports its memory.
        most: How many trials may share a GPU.
        cpus: Cores of the process that measures.
    """
    try:
        found = run_in_own_process(measure, cpus, gpus=1)
    except OwnProcessError as error:
        return 1.0, f"a whole one for each trial, as the need could not be measured: {error}"
    if found is None:
        return (
            1.0,
            "a whole one for each trial, as no device reported the memory that its configurations take",
        )
    share = found.share(most)
    return share, (
        f"{share:g} of one for each trial; {found.configurations} configurations took up to "
        f"{found.need_bytes / 2**20:,.0f} of its {found.total_megabytes:,} MiB"
    )


def probe_configs(prepared: PreparedJob) -> list[dict[str, Any]]:
    """The configurations that the need is measured on."""
    job, space = prepared.job, prepared.space
    first = first_configs(job, space)
    fixed = [*first, *[{}] * max(0, PROBES - len(first))]
    return [
        sample(space, "random", job.seed, number, fixed=given).config
        for number, given in enumerate(fixed[:PROBES])
    ]
