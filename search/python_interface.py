"""A search from Python, for notebooks and scripts: `from toprung.search import Job, run`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from toprung.results.run import Run, load
from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.jobs.schema import Job
from toprung.search.runs.extended_job import load_extended
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Job", "run"]

_progress_log = logging.getLogger(PROGRESS_LOG)


def run(
    job: Job | str | Path | Mapping[str, Any], address: str | None = None, progress: bool | None = None
) -> Run:
    """Run a search, or continue it where it stopped, and return its run.

    It may be called from any thread, also where an event loop runs; one search at a time runs in a process.

    Args:
        job: A job, the path of a job file, or a dict with its content.
        address: A Ray cluster, "auto" for the one that this machine is part of; None starts one on this machine.
        progress: Whether to draw a live panel; None draws one in a terminal and in a notebook. Without a panel,
            progress goes to the logger `toprung.progress`.

    Raises:
        InputError: The job cannot run; every problem is reported before anything starts.
        RuntimeError: The search failed (`SearchFailedError`), or no cluster answers at the address.
    """
    from toprung.search.driver.run_search import run_search

    if isinstance(job, Mapping):
        job = Job.from_dict(job)
    elif isinstance(job, str | PathLike):
        job = load_extended(job)
    elif not isinstance(job, Job):
        allowed = "must be a Job, the path of a job file, or a dict with its content"
        raise InputError.single("run", repr(job), allowed)
    result = run_search(job, address, progress)
    if result.stop_reason:
        _progress_log.info("ended because the %s", result.stop_reason)
    return load(result.folder.root)
