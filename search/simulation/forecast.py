"""`toprung simulate`: what a search would cost and find on several numbers of workers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toprung.results.tables.parts import read_tables
from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import new_strategy, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.search.simulation.blackbox import Blackbox, TableBlackbox, TypicalCurves
from toprung.search.simulation.budgeted_policy import BudgetedPolicy
from toprung.search.simulation.simulator import ClusterConditions, SimResult, simulate
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import Space
from toprung.trainables.trial.report import Outcome

UNLIMITED_HOURS = 24 * 365 * 100


@dataclass(frozen=True)
class Forecast:
    """One simulated search.

    Attributes:
        workers: How many trials ran at once.
        hours: Of wall-clock time.
        gpu_hours: Of all workers.
        epochs: How many were trained.
        trials: How many were started.
        completed: How many trained to their end.
        best: The best value of the metric; NaN where the curves are not of a run.
        result: The whole result of the simulator.
    """

    workers: int
    hours: float
    gpu_hours: float
    epochs: int
    trials: int
    completed: int
    best: float
    result: SimResult


def forecast(
    job: Job,
    workers: Sequence[int],
    run: str | None,
    epoch_secs: float,
    conditions: ClusterConditions | None = None,
) -> Iterator[Forecast]:
    """Simulate the job's own strategy for each number of workers; of several objectives the main one alone.

    Args:
        job: The job.
        workers: How many trials run at once, a simulation each.
        run: A finished run whose tables give the curves; None takes typical ones.
        epoch_secs: Seconds of an epoch of the typical curves.
        conditions: What goes wrong and what a start costs; the objective is the job's.

    Returns:
        The forecasts, each simulated when it is asked for.

    Raises:
        InputError: Before anything is simulated.
    """
    if job.search.constraints:
        given = "given, and curves tell no size and no latency of a configuration"
        raise InputError.single("search.constraints", given, "leave it out here: --set search.constraints={}")
    job = job.model_copy(update={"search": job.search.model_copy(update={"objectives": []})})
    space = prepared_space(job)
    blackbox = _blackbox(job, space, run, epoch_secs)
    conditions = replace(conditions or ClusterConditions(), objective=job.search.optimized.main)
    limit_secs = 3600 * (job.search.budgets.wall_clock_hours or UNLIMITED_HOURS)
    strategies = [new_strategy(job, space) for _ in workers]

    def simulated(strategy: Strategy, count: int) -> Forecast:
        policy = BudgetedPolicy(job, strategy, _gpus(job))
        result = simulate(policy, blackbox, count, limit_secs, job.seed, conditions)
        best = result.incumbents[-1].value if run and result.incumbents else math.nan
        completed = sum(outcome is Outcome.COMPLETED for outcome in result.outcomes.values())
        gpu_hours = result.busy_secs * _gpus(job) / 3600
        return Forecast(
            count, result.end_secs / 3600, gpu_hours, result.epochs, result.trials, completed, best, result
        )

    return map(simulated, strategies, workers)


def _gpus(job: Job) -> float:
    """GPUs of a trial; a whole one where the share is still to be measured, so that the cost is not underestimated."""
    return 1.0 if job.resources.gpus == "auto" else job.resources.gpus


def draw_forecasts(forecasts: Sequence[Forecast], metric: str, title: str, path: Path) -> None:
    """Draw a PNG: the best value so far over the hours, a line for each number of workers that found any."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for one in forecasts:
        found = [(incumbent.secs / 3600, incumbent.value) for incumbent in one.result.incumbents]
        if found:
            hours, values = zip(*found, (one.hours, found[-1][1]), strict=True)
            label = f"{one.workers} worker{'s' if one.workers > 1 else ''}"
            axes.step(hours, values, where="post", label=label)
    axes.set(xlabel="hours", ylabel=f"best {metric} so far", xscale="log", title=title)
    axes.xaxis.set(
        major_locator=LogLocator(subs=(1, 2, 5)),
        major_formatter=lambda hours, _: f"{hours:g}",
        minor_formatter=NullFormatter(),
    )
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def _blackbox(job: Job, space: Space, run: str | None, epoch_secs: float) -> Blackbox:
    if run is None:
        return TypicalCurves(space, job.search.max_epochs, epoch_secs)
    folder = RunFolder(run)
    longest = folder.job("--from").search.max_epochs
    if longest < job.search.max_epochs:
        given = f"{run} trained {longest} epochs at most"
        raise InputError.single("--from", given, f"search.max_epochs is {job.search.max_epochs}")
    _, epochs, trials = read_tables(folder.root)
    try:
        return TableBlackbox.from_tables(
            space, epochs, trials, job.search.metric, max_epochs=job.search.max_epochs
        )
    except ValueError as error:
        rule = f"give a run with ended trials that report {job.search.metric}"
        raise InputError.single("--from", f"{run}: {error}", rule) from None
