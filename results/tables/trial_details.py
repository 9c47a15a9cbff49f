"""What a row of `trials` says beside the configuration and the objectives: each field here is a column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Seconds that a worker spends on a trial beside training it.
BESIDE_TRAINING = (
    "worker_startup_secs",
    "build_secs",
    "compile_secs",
    "trial_setup_secs",
    "checkpoint_secs",
    "idle_secs",
)


@dataclass(frozen=True)
class TrialDetails:
    """Measurements of an ended trial that are not in its reports; None where something was not measured.

    Times are UTC. `rung_decision` to `rung_threshold` are of the last decision at `highest_rung_epoch`; the table
    `rungs` has all of them. `worker_index` numbers the worker processes of the run in the order in which they ended
    a trial. `overhead_secs` is, unless given, the sum of the known seconds beside the training, waiting included;
    `input_wait_secs` and `validation_secs` are parts of the training. `rss_bytes` and `device_bytes` are what the
    worker held, `failed_allocation_bytes` the size of the allocation that failed; `worker_recycled`: the worker,
    too large, was replaced after the trial. `preemptions` is how often a node died under the trial, `wait_secs` how
    long the trial waited for another worker after a death. `device` to `micro_batch_size` say how it was computed;
    the last, in images, only where batches were divided; `deterministic` whether every operation had to repeat exactly.
    `latency_ms` is measured where it is an objective or bounded. `code_fingerprint` names the user's file of the model
    (see `RUN/code`), `versions` are those of Python, toprung, Keras, its backend and Ray, as JSON.
    `reports_before_end`: how many epochs of all trials had been reported when it ended, which places its end among the
    `arrival_index` of `epochs`.
    """

    highest_rung_epoch: int = 0
    rung_decision: str | None = None
    rung_value: float | None = None
    rung_threshold: float | None = None
    input_wait_secs: float | None = None
    validation_secs: float | None = None
    overhead_secs: float | None = None
    worker_startup_secs: float | None = None
    build_secs: float | None = None
    compile_secs: float | None = None
    trial_setup_secs: float | None = None
    checkpoint_secs: float | None = None
    idle_secs: float | None = None
    worker_index: int | None = None
    worker_node: str | None = None
    worker_pid: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    device: str | None = None
    precision: str | None = None
    xla: bool | None = None
    steps_per_call: int | None = None
    micro_batch_size: int | None = None
    deterministic: bool | None = None
    rss_bytes: int | None = None
    device_bytes: int | None = None
    failed_allocation_bytes: int | None = None
    worker_recycled: bool | None = None
    preemptions: int | None = None
    wait_secs: float | None = None
    parameter_count: int | None = None
    latency_ms: float | None = None
    seed: int | None = None
    data_fingerprint: str | None = None
    code_fingerprint: str | None = None
    versions: str | None = None
    checkpoint: str | None = None
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reports_before_end: int | None = None
