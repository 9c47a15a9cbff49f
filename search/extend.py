"""`--set search.trials=+100`: more trials for a run, whatever number it had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.job import JobSpec
from search.jobfile import load_job, override_job
from search.runfolder import RunFolder
from spaces.problem import InputError

KEY = "search.trials"


def load_extended(path: str | Path, overrides: Sequence[str] = ()) -> JobSpec:
    """Read a job file as `load_job`, and let `search.trials=+N` add to the trials that the run has.

    An extension that was interrupted is not added a second time: the same command goes on with it.
    """
    additions = [text.partition("=+")[2] for text in overrides if text.startswith(f"{KEY}=+")]
    job = load_job(path, [text for text in overrides if not text.startswith(f"{KEY}=+")])
    for more in additions:
        if not more.isdecimal():
            raise InputError.single(f"--set {KEY}", f"'+{more}' given", "must be a number, or + and a number")
        trials = RunFolder(job.run_root).trials_with(int(more), otherwise=job.search.trials)
        job = override_job(job, [f"{KEY}={trials}"])
    return job
