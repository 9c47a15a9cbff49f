"""`toprung search`: from a job to finished tables, through Ray Tune."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.search.driver.assemble_loop import assemble_loop
from toprung.search.driver.checkpoint_retention import keep_recorded
from toprung.search.driver.open_run import OpenRun, open_run
from toprung.search.driver.progress import SearchProgress
from toprung.search.driver.progress_display import ProgressDisplay
from toprung.search.driver.recorded_end import recorded_end
from toprung.search.driver.remaining_time import remaining_time
from toprung.search.driver.search_failure import SearchFailedError, failure_of
from toprung.search.driver.trackers import followed_by_trackers
from toprung.search.preparation.prepare_search import prepare_search
from toprung.search.runs.run_folder import RunFolder
from toprung.search.workers.allocation import allocate_workers
from toprung.search.workers.tune_workers import run_workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.jobs.schema import Job
    from toprung.search.loop.search_loop import SearchLoop
    from toprung.search.workers.allocation import WorkerAllocation


@dataclass(frozen=True)
class SearchResult:
    """How a search ended: its folder, and the limit that ended it if it was not the number of trials.

    `val_images` is the number of validation images that its trials were compared on.
    """

    folder: RunFolder
    stop_reason: str | None
    val_images: int = 0


def run_search(
    job: Job, address: str | None = None, live: bool | None = None, retry_failed: bool = False
) -> SearchResult:
    """Run the job's search, or continue it where an earlier driver stopped.

    It may be called from any thread, also while an event loop runs in it; only one search at a time can run in a
    process. Whatever is raised, what was learned until then is in the tables.

    Args:
        job: What to search.
        address: A Ray cluster ("auto" for the one this machine is part of); None starts a local one.
        live: Whether to draw a live panel instead of logging lines; None draws one on a terminal or in a notebook.
        retry_failed: Whether the run's trials that raised an error are trained again.

    Raises:
        InputError: The job cannot be run; raised before anything starts.
        ClusterUnreachableError: No cluster answers at the address.
        RayStartError: There is no address, and Ray does not start on this machine.
        SearchFailedError: The search cannot succeed as the job stands.
    """
    prepared = prepare_search(job, address)
    with ExitStack() as stack:
        run = stack.enter_context(open_run(prepared, retry_failed))
        # Nothing is left to train in a finished run: it is not worth the start of a cluster.
        workers = None if run.is_finished else stack.enter_context(_workers(run, address))
        stack.enter_context(followed_by_trackers(run))
        loop = assemble_loop(run, workers.plan.gpus if workers else run.resumed.gpus)
        with recorded_end(run, loop):
            if workers and not loop.finished:
                remaining = remaining_time(run.folder.root, job)
                progress = SearchProgress(loop, job.search.trials, remaining.secs, workers=workers.presence)
                run.writer.lock.describe_with(workers.presence.__str__)
                stack.enter_context(ProgressDisplay(progress, job.search.metric, live))
                run_workers(loop, workers, job.name)
            _finish(loop, run)
    if failure := failure_of(loop, run):
        raise SearchFailedError(failure)
    val_images = prepared.dataset.counts["val"]
    return SearchResult(run.folder, loop.stop_reason or loop.used_up_reason, val_images)


@contextmanager
def _workers(run: OpenRun, address: str | None) -> Iterator[WorkerAllocation]:
    with allocate_workers(run.prepared, run.folder, run.resumed.gpus, address) as workers:
        # How long an epoch took differs from run to run: a search that is to repeat exactly must not look at it.
        run.prepared.strategy.weighs_time = workers.capacity.proposes_early
        yield workers


def _finish(loop: SearchLoop, run: OpenRun) -> None:
    loop.close()
    run.writer.compact()
    keep_recorded(run.folder.checkpoints, run.trials(), run.job.search.metric)
