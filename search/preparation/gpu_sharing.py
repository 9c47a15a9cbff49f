"""The share of a GPU that a trial gets where the job leaves it to a measurement."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from toprung.cluster.exclusive_gpu import ExclusiveGpuError, run_with_exclusive_gpu
from toprung.cluster.session import TrialResources, capacity_of, trials_per_gpu
from toprung.search.preparation.prepare import first_configs
from toprung.search.preparation.workload import typical_workload
from toprung.search.strategy.sampling.samplers import sample
from toprung.trainables.worker.gpu_probe import need_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.search.preparation.prepare import PreparedJob
    from toprung.trainables.worker.gpu_probe import GpuNeed
    from toprung.trainables.worker.ray_trainable import TrialPlan

AUTO: Final = "auto"
MEASURED = 8  # configurations: what is tried first, the rest drawn at random


def measure_gpu_share(prepared: PreparedJob, plan: TrialPlan, need: TrialResources, earlier: float) -> float:
    """GPUs of a trial: 0 without any, `earlier` where the run has measured before, else what a few trials need.

    A whole one where nothing could be measured. Raises `InputError` when no node has a GPU and the cores of a trial.
    """
    most = trials_per_gpu(need)
    if most <= 1 or earlier > 0.0:
        return earlier or float(most)
    workers = capacity_of(replace(need, gpus=1.0), "").concurrent
    # The process that measures also chooses how to compute: for workers that have a GPU each, before it is known.
    plan = replace(plan, usual=typical_workload(prepared, workers))
    share, line = share_from_measurement(partial(need_of, plan, probe_configs(prepared)), most, need.cpus)
    print(f"note: resources.gpus auto: {line}", flush=True)
    return share


def share_from_measurement(
    measure: Callable[[], GpuNeed | None], most: int, cpus: float
) -> tuple[float, str]:
    """The share of a GPU by what `measure` tells in a process that has a whole one, and a line that says why."""
    try:
        found = run_with_exclusive_gpu(measure, cpus)
    except ExclusiveGpuError as error:
        return 1.0, f"a whole one for each trial, as the need could not be measured: {error}"
    if found is None:
        return 1.0, "a whole one for each trial, as nothing told how much memory its configurations take"
    share = found.share(most)
    return share, (
        f"{share:g} of one for each trial; {found.configurations} configurations took up to "
        f"{found.need_bytes / 2**20:,.0f} of its {found.total_megabytes:,} MiB"
    )


def probe_configs(prepared: PreparedJob) -> list[dict[str, Any]]:
    """What the need is measured on."""
    job, space = prepared.job, prepared.space
    first = first_configs(job, space)
    fixed = [*first, *[{}] * max(0, MEASURED - len(first))]
    return [
        sample(space, "random", job.seed, number, fixed=given).config
        for number, given in enumerate(fixed[:MEASURED])
    ]
