"""The commands about a job before it runs: one function for each, as in `cli`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def init(options: argparse.Namespace) -> None:
    """`toprung init FOLDER`."""
    from toprung.search.commands.jobs.init import write_job_file

    for line in write_job_file(options.folder, options.out):
        print(line)


def check(options: argparse.Namespace) -> None:
    """`toprung check JOB`."""
    from toprung.search.commands.jobs.check import describe_job
    from toprung.search.runs.extended_job import load_extended

    for line in describe_job(load_extended(options.job, options.overrides), options.preview):
        print(line)
    overrides = [word for given in options.overrides for word in ("--set", given)]
    print(f"next       {shlex.join(['toprung', 'search', options.job, *overrides])}")


def simulate(options: argparse.Namespace) -> None:
    """`toprung simulate JOB`."""
    from toprung.search.commands.jobs.forecast_output import show_forecasts
    from toprung.search.runs.extended_job import load_extended
    from toprung.search.simulation.simulator import ClusterConditions

    job = load_extended(options.job, options.overrides, files_needed=False)
    conditions = ClusterConditions(
        options.worker_startup_secs,
        options.trial_startup_secs,
        straggler_share=options.stragglers,
        failure_share=options.failures,
    )
    show_forecasts(job, options.workers, options.run, options.epoch_secs, options.out, conditions)


JOB_COMMANDS = {"init": init, "check": check, "simulate": simulate}
