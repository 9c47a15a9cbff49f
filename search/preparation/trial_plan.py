"""What every worker of a job is told: data, model code, how trials are run and computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.system.store_settings import store_settings

if TYPE_CHECKING:
    from toprung.search.preparation.prepare import PreparedJob
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.worker.plan import TrialPlan


# Epochs shorter than this are reported together, so that the driver of hundreds of workers has time for all of them.
REPORT_SECS = 0.25


def trial_plan(prepared: PreparedJob, folder: RunFolder) -> TrialPlan:
    """The plan of a job's trials; the share of a GPU, the workload and the driver's address are still open."""
    from toprung.trainables.worker.plan import Rules, TrialPlan

    job = prepared.job
    data, family = job.data_spec(), pack_source(job.family)
    rules = Rules(
        max_epochs=job.search.max_epochs,
        checkpoint_epochs=frozenset(prepared.strategy.rung_epochs),
        checkpoint_secs=job.storage.checkpoint_secs,
        report_secs=REPORT_SECS,
        durable_rungs=job.search.variant == "promote",
        objectives=job.search.optimized,
        data_fingerprint=prepared.dataset.fingerprint,
        code_fingerprint=family.fingerprint,
    )
    memory_gb = job.resources.worker_memory_gb
    return TrialPlan(
        data=data,
        source=pack_source(data.source, "data.source"),
        family=family,
        checkpoints=folder.checkpoints,
        rules=rules,
        cpus=job.resources.cpus,
        execution=job.resources.execution_request(),
        deterministic=job.resources.deterministic,
        autotune=folder.choices,
        worker_bytes=int(memory_gb * 1e9) if memory_gb else None,
        epoch_limit_secs=3600 * job.resources.max_epoch_hours,
        store_settings=store_settings(),
    )
