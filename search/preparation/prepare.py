"""Looks up and checks everything that a job names before anything is started: space, images, strategy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from toprung.results.tables.parts import read_reports, read_table, read_tables
from toprung.results.tables.schema import PROPOSALS, TRIALS, Kind, kinds_of
from toprung.search.preparation.check_model import check_family
from toprung.search.preparation.job_placement import as_in_its_run, placement_problems
from toprung.search.preparation.space_walks import check_sampler_models, sampled_configs
from toprung.search.preparation.tuned_epochs import with_first_rung
from toprung.search.runs.run_folder import RunFolder
from toprung.search.runs.trial_records import records_of
from toprung.search.strategy.initial_configs import allowed_subset, check_initial_configs
from toprung.search.strategy.sampling.samplers import check_sampler, locate_in_space
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.errors import InputError, Problem
from toprung.spaces.families.registry import Space, load_space
from toprung.trainables.data.dataset import Dataset, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from toprung.search.jobs.schema import Job

T = TypeVar("T")


@dataclass(frozen=True)
class PreparedJob:
    """A job with everything it names; `kinds` are the types of the configuration's columns."""

    job: Job
    space: Space
    dataset: Dataset
    strategy: Strategy
    kinds: Mapping[str, Kind]


def prepare(job: Job) -> PreparedJob:
    """Load the space and the images, decoded into this node's cache, and build the strategy.

    Raises:
        InputError: With the problems of all of them at once.
    """
    job = as_in_its_run(job)
    problems = list(placement_problems(job))
    space = _attempt(lambda: prepared_space(job), problems)
    if space:
        if not job.search.leaves_epochs_open:
            job = with_first_rung(job, sampled_configs(space))
        _attempt(lambda: check_family(job.family, sampled_configs(space)), problems)
    dataset = _attempt(lambda: load(job.data_spec()), problems)
    for check in strategy_checks(job, space):
        _attempt(check, problems)
    strategy = _attempt(lambda: new_strategy(job, space), problems) if space and not problems else None
    if problems or space is None or dataset is None or strategy is None:
        raise InputError(problems)
    return PreparedJob(job, space, dataset, strategy, config_kinds(space))


def prepared_space(job: Job) -> Space:
    """The job's space with its fixed values and narrowed ranges.

    Raises:
        InputError: The space is not there, or does not allow the values or ranges.
    """
    return load_space(job.family, job.space.fixed, job.space.ranges)


def strategy_checks(job: Job, space: Space | None) -> Iterator[Callable[[], None]]:
    """The checks of what the strategy is made of, each of which raises its own problems: all can be told at once."""
    yield lambda: check_sampler(job.search.sampler)
    if space is not None:
        yield lambda: check_sampler_models(job.search.sampler, space)
    if space is not None and job.search.initial_configs is not None:
        yield lambda: check_initial_configs(space, list(job.search.initial_configs or []))
    for number, run in enumerate(job.search.warm_start):
        yield partial(_check_run, run, f"search.warm_start[{number}]")


def new_strategy(job: Job, space: Space) -> Strategy:
    """The strategy of a job at its start, with what it learns from the job's earlier runs.

    Raises:
        InputError: A setting cannot be, or an earlier run is none.
    """
    for check in strategy_checks(job, space):
        check()
    strategy = Strategy.for_space(
        space,
        job.search.max_epochs,
        job.seed,
        objectives=job.search.optimized,
        reduction_factor=job.search.reduction_factor,
        min_epochs=job.search.min_epochs,
        sampler=job.search.sampler,
        variant=job.search.variant,
        max_trials=job.search.trials,
        initial_configs=first_configs(job, space),
    )
    for run in job.search.warm_start:
        proposals, trials = read_table(run, PROPOSALS), read_table(run, TRIALS)
        strategy.warm_start(read_reports(run), records_of(proposals, trials))
    return strategy


def incompatible_runs(job: Job, space: Space) -> Iterator[str]:
    """A line for each earlier run of which the space does not allow some trials' configurations."""
    for run in job.search.warm_start:
        records = records_of(read_table(run, PROPOSALS), read_table(run, TRIALS))
        points = (locate_in_space(space, record.config, record.suggested) for record in records)
        fitting = sum(point is not None for point in points)
        if fitting < max(1, len(records)):
            yield f"{fitting} of {len(records)} trials of {run} fit this space"


def _check_run(run: str, where: str) -> None:
    RunFolder(run).job(where)
    read_tables(run)


def first_configs(job: Job, space: Space) -> list[dict[str, Any]]:
    """The configurations tried first: those that the job gives, else the space's own as far as the job allows them."""
    if job.search.initial_configs is not None:
        return list(job.search.initial_configs)
    return space_configs(space)


def space_configs(space: Space) -> list[dict[str, Any]]:
    """The configurations that a space itself names to be tried first, each once, as far as the space allows them."""
    configs: list[dict[str, Any]] = []
    for config in space.first_configs:
        allowed = allowed_subset(space, config)
        if allowed and allowed not in configs:
            configs.append(allowed)
    return configs


def config_kinds(space: Space) -> dict[str, Kind]:
    """The type of every parameter that the space's configurations can have, seen over random walks through it."""
    return kinds_of(sampled_configs(space))


def _attempt(action: Callable[[], T], problems: list[Problem]) -> T | None:
    try:
        return action()
    except InputError as error:
        problems.extend(error.problems)
        return None
