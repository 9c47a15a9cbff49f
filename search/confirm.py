"""The winner among the best trials, by the mean of trainings with new seeds instead of one lucky value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.confirmed import Confirmed, confirmed
from results.leaderboard import UNFIT
from results.parts import read_table
from results.rows import config_of, suggested_of
from results.schema import PROPOSALS
from search.confirm_runs import FOLDER, confirming, ended_runs, key, trainings
from search.prepare import prepared_space
from search.run import SearchFailedError
from search.runfolder import RunFolder
from search.sampler import place
from spaces.problem import InputError
from trainables.checkpoint import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from search.job import JobSpec
    from trainables.report import Outcome


@dataclass(frozen=True)
class Confirmation:
    """The candidates that trained well, best first, and by trial id what the others ended as under a new seed."""

    standings: tuple[Confirmed, ...]
    failed: Mapping[str, Outcome]


def confirm(
    job: JobSpec, folder: RunFolder, board: pd.DataFrame, train: Callable[[JobSpec], object]
) -> Confirmation:
    """Train the first `job.retrain.confirm` configurations of the board with `job.retrain.seeds` new seeds each.

    `train` runs a job, or goes on with it; trainings of ended confirmations of this run count. A configuration that
    cannot be trained with one of the seeds is none to rely on: it is among `failed`. Raises what `train` raises,
    `InputError` when the space has changed, and `SearchFailedError` when no configuration has two trainings, without
    which there is no spread to tell.
    """
    candidates = candidates_of(job, folder, board, job.retrain.confirm)
    runs = list(ended_runs(folder, job))
    known = trainings(runs, job.search.metric)
    lacking = [
        params for params in candidates.values() for _ in range(job.retrain.seeds - len(known[key(params)]))
    ]
    if lacking:
        asked = confirming(job, folder, lacking, len(runs))
        train(asked)
        run = RunFolder(asked.run_root)
        CheckpointStore(run.checkpoints).keep_only(frozenset())  # of no use any more
        known = trainings([*runs, run], job.search.metric)
    ended = {name: known[key(params)] for name, params in candidates.items()}
    failed = {name: one.outcome for name, found in ended.items() for one in found if one.outcome in UNFIT}
    curves = {
        name: [one.curve for one in found if one.curve] for name, found in ended.items() if name not in failed
    }
    if all(len(found) < 2 for found in curves.values()):
        told = ", ".join(f"{name} {failed.get(name) or f'{len(ended[name])} trained'}" for name in ended)
        raise SearchFailedError(
            f"no configuration could be confirmed ({told}); see the column `reason` of "
            f"{folder.root}/{FOLDER}/*/trials; the same command trains again what lost its worker"
        )
    return Confirmation(tuple(confirmed(curves, job.search.mode, job.retrain.epochs)), failed)


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
    points = {name: place(space, config, beside.get(name)) for name, config in configs.items()}
    for name, point in points.items():
        if point is None:
            raise InputError.single(
                "space", f"{name} is no configuration of it any more", "must allow the best"
            )
    return {name: dict(point.params) for name, point in points.items() if point}


def describe(confirmation: Confirmation, board: pd.DataFrame, metric: str) -> list[str]:
    """A line for each candidate: its mean over new seeds with its 95% interval, and what the search had for it."""
    searched = dict(zip(board["trial_id"], board[metric], strict=True))
    most = math.inf if metric.endswith("loss") else 1.0
    lines = [
        f"  {one.trial_id}  {metric} {one.score:.4f} ({max(one.low, 0.0):.4f} to {min(one.high, most):.4f}) "
        f"at epoch {one.epoch}, {one.seeds} seeds; {searched[one.trial_id]:.4f} in the search"
        for one in confirmation.standings
    ]
    return [
        *lines,
        *(f"  {name}  {outcome} with a new seed" for name, outcome in confirmation.failed.items()),
    ]
