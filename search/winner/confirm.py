"""The winner among the best trials, by the mean of trainings with new seeds instead of one lucky value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.results.analysis.confirmation import ConfirmedMean, confirmed
from toprung.results.tables.parts import read_table
from toprung.results.tables.rows import config_of, suggested_of
from toprung.results.tables.schema import PROPOSALS
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.preparation.prepare import prepared_space
from toprung.search.strategy.sampling.samplers import locate_in_space
from toprung.search.winner.confirm_jobs import FOLDER, confirming, point_key, runs_of, trainings
from toprung.spaces.errors import InputError
from toprung.trainables.worker.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from toprung.search.jobs.schema import JobSpec
    from toprung.search.runs.run_folder import RunFolder
    from toprung.search.winner.confirm_jobs import ConfirmRun, Training


@dataclass(frozen=True)
class Confirmation:
    """The candidates that trained well, best first; by trial id why others are left out; trainings still lacking."""

    standings: tuple[ConfirmedMean, ...]
    left_out: Mapping[str, str]
    lacking: int


def confirm(
    job: JobSpec, folder: RunFolder, board: pd.DataFrame, train: Callable[[JobSpec], object]
) -> Confirmation:
    """Train the first `job.retrain.confirm` configurations of the board with `job.retrain.seeds` new seeds each.

    `train` runs a job, or goes on with it; what earlier confirmations of this run have trained counts. A configuration
    that diverges, or runs out of memory, with one of the seeds is none to rely on and is left out. Raises what `train`
    raises, `InputError` when the space has changed, and `SearchFailedError` when no configuration has two trainings,
    without which there is no spread to tell.
    """
    points = candidates_of(job, folder, board, job.retrain.confirm)
    runs = list(runs_of(folder, job))
    asked = _lacking_job(job, folder, points, [run for run in runs if run.has_ended])
    if asked and asked.run_root not in [run.folder.root for run in runs]:
        # None that was begun asks just this: what any of them has trained counts, and the rest is new.
        asked = _lacking_job(job, folder, points, runs)
    if asked:
        train(asked)
        runs = list(runs_of(folder, job))
    for run in runs:
        if run.has_ended:
            CheckpointStore(run.folder.checkpoints).keep_only(frozenset())  # of no use any more
    known = trainings(runs, job.search.metric)
    return _confirmation(job, folder, {name: known[point_key(params)] for name, params in points.items()})


def _lacking_job(
    job: JobSpec, folder: RunFolder, points: Mapping[str, Mapping[str, Any]], runs: Sequence[ConfirmRun]
) -> JobSpec | None:
    """The job of the trainings that these runs lack; None when there are enough of each."""
    known = trainings(runs, job.search.metric)
    lacking = [p for p in points.values() for _ in range(job.retrain.seeds - len(known[point_key(p)]))]
    return confirming(job, folder, lacking, len(runs)) if lacking else None


def _confirmation(job: JobSpec, folder: RunFolder, found: Mapping[str, Sequence[Training]]) -> Confirmation:
    """What the trainings of each candidate come to."""
    left_out = {
        name: f"{one.outcome} with a new seed"
        for name, some in found.items()
        for one in some
        if one.outcome.rules_out_config
    }
    left_out |= {name: "no training ended well" for name, some in found.items() if not some}
    curves = {name: [one.curve for one in some] for name, some in found.items() if name not in left_out}
    if all(len(some) < 2 for some in curves.values()):
        told = ", ".join(f"{name} {left_out.get(name, 'trained once')}" for name in found)
        raise SearchFailedError(
            f"no configuration could be confirmed ({told}); see the column `reason` of "
            f"{folder.root}/{FOLDER}/*/trials; the same command tries again what failed or lost its worker"
        )
    lacking = sum(max(0, job.retrain.seeds - len(some)) for some in found.values())
    limits = (0.0, math.inf if job.search.metric == "val_loss" else 1.0)
    standings = confirmed(curves, job.search.mode, job.retrain.epochs, limits)
    return Confirmation(tuple(standings), left_out, lacking)


def candidates_of(
    job: JobSpec, folder: RunFolder, board: pd.DataFrame, count: int
) -> dict[str, dict[str, Any]]:
    """The first `count` different configurations of a leaderboard: by trial id, what the space was given for each.

    A configuration need not hold everything under the name by which the space suggested it. Raises `InputError` when
    the space does not allow one any more.
    """
    space, beside = prepared_space(job), suggested_of(read_table(folder.root, PROPOSALS))
    configs: dict[str, dict[str, Any]] = {}
    for row in board.to_dict("records"):
        config = config_of({str(name): value for name, value in row.items()})
        if config not in configs.values() and len(configs) < count:
            configs[str(row["trial_id"])] = config
    points = {name: locate_in_space(space, config, beside.get(name)) for name, config in configs.items()}
    for name, point in points.items():
        # Fixed values may have been laid over those it was searched with.
        if point is None or point.config != configs[name]:
            raise InputError.single(
                "space", f"{name} is no configuration of it any more", "must allow the best"
            )
    return {name: dict(point.params) for name, point in points.items() if point}


def describe(confirmation: Confirmation, board: pd.DataFrame, metric: str) -> list[str]:
    """A line for each candidate: its mean over new seeds with its 95% interval, and what the search had for it."""
    searched = dict(zip(board["trial_id"], board[metric], strict=True))
    lines = [
        f"  {one.trial_id}  {metric} {one.score:.4f} ({one.low:.4f} to {one.high:.4f}) "
        f"at epoch {one.epoch}, {one.seeds} seeds; {searched[one.trial_id]:.4f} in the search"
        for one in confirmation.standings
    ]
    lines += [f"  {name}  left out: {reason}" for name, reason in confirmation.left_out.items()]
    if confirmation.lacking:
        lines.append(
            f"  {confirmation.lacking} trainings failed or lost their workers; the same command tries again"
        )
    return lines
