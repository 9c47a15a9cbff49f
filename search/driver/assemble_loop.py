"""Builds the search loop of an opened run, with the recorder that writes its tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from toprung.search.driver.checkpoint_retention import CheckpointRetention, trials_with_checkpoint
from toprung.search.driver.recorder import Recorder, SharedFacts
from toprung.search.loop.budgets import BudgetLimits
from toprung.search.loop.deferred_observer import DeferredObserver
from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.spaces.definition.introspection import describe
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.preflight import installed_versions

if TYPE_CHECKING:
    from toprung.search.driver.open_run import OpenRun


def assemble_loop(run: OpenRun, gpus: float) -> SearchLoop:
    """The loop that continues the run; each of its trials gets the share `gpus` of a GPU.

    Checkpoints that workers of an earlier driver wrote after their trials had ended are deleted.
    """
    job, strategy = run.job, run.prepared.strategy
    objectives = job.search.optimized
    parameters = frozenset(describe(run.prepared.space))
    fingerprint = run.prepared.dataset.fingerprint
    shared = SharedFacts(
        objectives,
        fingerprint,
        job.resources.cpus,
        gpus,
        parameters,
        deterministic=job.resources.deterministic,
        code_fingerprint=pack_source(job.family).fingerprint,
        versions=json.dumps(installed_versions()),
    )
    recorder = Recorder(run.writer, strategy, _retention(run), shared, run.resumed)
    settings = LoopSettings(
        objective=objectives.main,
        max_epochs=job.search.max_epochs,
        seed=job.seed,
        limits=BudgetLimits(**job.search.budgets.model_dump()),
        gpus=gpus,
        bounds=objectives.bounds,
    )
    return SearchLoop(strategy, DeferredObserver(recorder), settings, run.resumed)


def _retention(run: OpenRun) -> CheckpointRetention:
    job, store, trials = run.job, CheckpointStore(run.folder.checkpoints), run.trials()
    objective = job.search.optimized.main
    kept = trials_with_checkpoint(trials, objective.metric)
    # A checkpoint of a trial that is in no table yet stays: the trial is proposed again.
    store.drop(set(trials["trial_id"]) - kept.keys())
    max_bytes = int(job.storage.checkpoint_gb * 1e9)
    return CheckpointRetention(store, objective, max_bytes, job.storage.keep_stopped, kept)
