"""A job file read for its run: `search.trials=+N` adds to the trials that the run has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toprung.search.jobs.beside_file import check_files
from toprung.search.jobs.schema import Job
from toprung.search.runs.allowed_changes import TRIALS_KEY
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def load_extended(path: str | Path, overrides: Sequence[str] = (), files_needed: bool = True) -> Job:
    """Read a job file as `Job.from_file`, and let `search.trials=+N` add to the trials that the run has.

    An extension that was interrupted is not added a second time: the same command goes on with it.

    Args:
        path: The job file.
        overrides: As of `Job.from_file`.
        files_needed: Whether the files that the job names have to be there.

    Raises:
        InputError: As `Job.from_file`; a file that is needed is neither in the working folder nor beside the job file.
    """
    prefix = f"{TRIALS_KEY}=+"
    job = Job.from_file(path, [text for text in overrides if not text.startswith(prefix)])
    for more in [text.removeprefix(prefix) for text in overrides if text.startswith(prefix)]:
        if not more.isdecimal():
            where = f"--set {TRIALS_KEY}"
            raise InputError.single(where, f"'+{more}' given", "must be a number, or + and a number")
        trials = RunFolder(job.run_root).trials_with(int(more), new_run_trials=job.search.trials)
        job = job.overridden([f"{TRIALS_KEY}={trials}"])
    if files_needed:
        check_files(job.model_dump(), Path(path).expanduser().absolute().parent)
    return job
