"""`toprung search`: from a job to finished tables, through Ray Tune."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import TYPE_CHECKING

from toprung.cluster.session import TrialResources, capacity_of, connected
from toprung.results.analysis.leaderboard import UNFIT
from toprung.results.tables.parts import read_reports, read_table
from toprung.results.tables.schema import PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.writer import RunWriter, TableWriteError
from toprung.results.tracking.tracker import Tracker
from toprung.search.driver.budgets import BudgetLimits
from toprung.search.driver.progress import ProgressDisplay
from toprung.search.driver.recorder import Recorder
from toprung.search.driver.resume import resume
from toprung.search.driver.search_loop import SearchLoop
from toprung.search.driver.trial_state import ResumedState
from toprung.search.driver.tune_workers import run_workers
from toprung.search.preparation.gpu_sharing import AUTO, measure_gpu_share
from toprung.search.preparation.job_warnings import data_warnings, misspelt_parameters
from toprung.search.preparation.prepare import PreparedJob, incompatible_runs, prepare
from toprung.search.preparation.workload import typical_workload
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.metrics.classification import validation_metrics
from toprung.trainables.trial.report import Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from toprung.search.jobs.schema import JobSpec
    from toprung.trainables.worker.ray_trainable import TrialPlan


# Epochs shorter than this are told together, so that the driver of hundreds of workers has time for all of them.
REPORT_SECS = 0.25
REASON_CHARS = 300


class SearchFailedError(RuntimeError):
    """The search cannot go on as the job stands: read the reason, mend the job or the model, run it again."""


@dataclass(frozen=True)
class SearchResult:
    """How a search ended: its folder, and the limit that ended it if it was not the number of trials."""

    folder: RunFolder
    stop_reason: str | None


def run_search(job: JobSpec, address: str | None = None, live: bool | None = None) -> SearchResult:
    """Run the job's search, or go on with it where an earlier driver stopped.

    `address` names a Ray cluster ("auto" for the one this machine is part of); None starts a local one. `live` is
    whether to draw a live panel, found from the terminal when None. Raises `InputError` before anything starts,
    `ClusterUnreachableError`, and `SearchFailedError`. What was learned until then is in the tables whatever is raised.
    """
    folder = RunFolder(job.run_root)
    prepared = prepare(job)
    unfit = incompatible_runs(job, prepared.space)
    for note in (*data_warnings(prepared.dataset), *misspelt_parameters(prepared.kinds), *unfit):
        print(f"note: {note}", flush=True)
    with ExitStack() as stack:
        lock = stack.enter_context(folder.claim(job, prepared.dataset.fingerprint))
        if changed := folder.keep_code(pack_source(job.family)):
            print(f"note: {changed}", flush=True)
        resumed = _resumed(folder, prepared)
        measured = validation_metrics(len(prepared.dataset.classes), prepared.dataset.task_type)
        schemas = run_schemas(prepared.kinds, job.search.metric, measured, job.search.secondary_objectives)
        writer = stack.enter_context(RunWriter(folder.root, schemas, lock=lock))
        gpus = job.resources.gpus
        need = TrialResources(job.resources.cpus, 0.0 if gpus == AUTO else gpus, job.resources.concurrent)
        capacity = stack.enter_context(connected(address, need))
        plan = _plan(prepared, folder)
        if gpus == AUTO:
            need = replace(need, gpus=measure_gpu_share(prepared, plan, need, resumed.gpus))
            capacity = capacity_of(need, capacity.host)
        # How long an epoch took differs from run to run: a search that is to repeat exactly must not look at it.
        prepared.strategy.weighs_time = capacity.proposes_early
        stack.enter_context(_tracked(job, folder, writer))
        loop = _loop(prepared, folder, writer, resumed, need.gpus)
        if not loop.finished:
            stack.enter_context(
                ProgressDisplay(loop, job.search.metric, job.search.trials, capacity.concurrent, live)
            )
            usual = typical_workload(prepared, capacity.concurrent)
            run_workers(loop, replace(plan, gpus=need.gpus, usual=usual), capacity, job)
        loop.close()
        writer.compact()
        CheckpointStore(folder.checkpoints).keep_only(frozenset(_kept(job, folder)))
    if loop.abort_reason:
        raise SearchFailedError(f"{loop.abort_reason}; see the column `error` of {folder.root}/trials")
    failed = why_all_failed(read_table(folder.root, TRIALS), job.search.metric)
    if failed:
        raise SearchFailedError(f"{failed}; see the columns `reason` and `error` of {folder.root}/trials")
    return SearchResult(folder, loop.stop_reason)


def why_all_failed(trials: pd.DataFrame, metric: str) -> str | None:
    """The commonest reasons where every trial that ended failed; None where one did not, as one cut by a budget."""
    outcomes, valueless = trials["outcome"], trials[f"best_{metric}"].isna()
    # A trial that lost its worker may still have values to win with.
    failed = outcomes.isin(UNFIT) | (outcomes.isin([Outcome.PREEMPTED, Outcome.TIMEOUT]) & valueless)
    if trials.empty or not failed.all():
        return None
    reasons = Counter(f"{row.outcome}, {row.reason}" for row in trials.itertuples())
    told = [f"{count} x {shorten(reason, REASON_CHARS)}" for reason, count in reasons.most_common(2)]
    return f"all {len(trials)} trials failed: {'; '.join(told)}"


def _resumed(folder: RunFolder, prepared: PreparedJob) -> ResumedState:
    job = prepared.job
    proposals, trials = read_table(folder.root, PROPOSALS), read_table(folder.root, TRIALS)
    reports = read_reports(folder.root)
    gpus = job.resources.gpus
    return resume(
        prepared.strategy,
        proposals,
        reports,
        trials,
        metric=job.search.metric,
        mode=job.search.mode,
        gpus=None if gpus == AUTO else gpus,
    )


@contextmanager
def _tracked(job: JobSpec, folder: RunFolder, writer: RunWriter) -> Iterator[None]:
    """MLflow follows the tables for the block, if the job wants it to."""
    if not job.tracking.enabled:
        yield
        return
    tracker = Tracker(folder.tracking(job), folder.root, warn=lambda line: print(f"note: {line}", flush=True))
    try:
        yield
    except BaseException:
        with suppress(TableWriteError):
            writer.flush()
        tracker.close("KILLED", timeout_secs=5.0)
        raise
    tracker.close()


def _kept(job: JobSpec, folder: RunFolder) -> dict[str, float | None]:
    """The trials that trained as long as they were to, in the order they ended, with their best values.

    They alone keep their states.
    """
    trials = read_table(folder.root, TRIALS).sort_values("ended_at")
    kept = trials[trials["checkpoint"].notna()]
    if kept.empty:
        return {}
    best = [None if math.isnan(value) else float(value) for value in kept[f"best_{job.search.metric}"]]
    return dict(zip(kept["trial_id"].map(str), best, strict=True))


def _loop(
    prepared: PreparedJob, folder: RunFolder, writer: RunWriter, resumed: ResumedState, gpus: float
) -> SearchLoop:
    job = prepared.job
    search = job.search
    completed, states = _kept(job, folder), CheckpointStore(folder.checkpoints)
    # Workers of an earlier driver may have written states of stopped trials after it had deleted them. One of a trial
    # that is in no table yet stays: the trial is proposed again.
    states.drop(set(read_table(folder.root, TRIALS)["trial_id"]) - completed.keys())
    recorder = Recorder(
        writer,
        prepared.strategy,
        states,
        metric=search.metric,
        mode=search.mode,
        fingerprint=prepared.dataset.fingerprint,
        cpus=job.resources.cpus,
        gpus=gpus,
        sequence=resumed.sequence,
        started_at=resumed.started_at,
        checkpoint_bytes=int(job.storage.checkpoint_gb * 1e9),
        keep_stopped=job.storage.keep_stopped,
        completed=completed,
        secondary_objectives=search.secondary_objectives,
    )
    return SearchLoop(
        prepared.strategy,
        recorder,
        metric=search.metric,
        mode=search.mode,
        max_epochs=search.max_epochs,
        seed=job.seed,
        limits=BudgetLimits(mode=search.mode, **search.budgets.model_dump()),
        gpus=gpus,
        spent=resumed.spent,
        unfinished=resumed.unfinished,
        settled=resumed.settled,
        outcomes=resumed.outcomes,
        leader=resumed.leader,
    )


def _plan(prepared: PreparedJob, folder: RunFolder) -> TrialPlan:
    from toprung.trainables.worker.ray_trainable import TrialPlan
    from toprung.trainables.worker.trial_runner import Rules

    job = prepared.job
    rules = Rules(
        max_epochs=job.search.max_epochs,
        checkpoint_epochs=frozenset(prepared.strategy.rung_epochs),
        checkpoint_secs=job.storage.checkpoint_secs,
        report_secs=REPORT_SECS,
        durable_rungs=job.search.variant == "promote",
        metric=job.search.metric,
        mode=job.search.mode,
        secondary_objectives=job.search.secondary_objectives,
        data_fingerprint=prepared.dataset.fingerprint,
    )
    memory_gb = job.resources.worker_memory_gb
    data = job.data_spec()
    return TrialPlan(
        data=data,
        source=pack_source(data.source, "data.source"),
        family=pack_source(job.family),
        checkpoints=folder.checkpoints,
        rules=rules,
        cpus=job.resources.cpus,
        asked=job.resources.asked(),
        deterministic=job.resources.deterministic,
        choices=folder.choices,
        worker_bytes=int(memory_gb * 1e9) if memory_gb else None,
        epoch_limit_secs=3600 * job.resources.max_epoch_hours,
    )
