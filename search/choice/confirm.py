"""The winner among the best trials, by the mean of trainings with new seeds instead of one lucky value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.results.analysis.confirmation import ConfirmedMean, across_folds, confirmed
from toprung.results.tables.parts import read_table
from toprung.results.tables.rows import config_of, suggested_of
from toprung.results.tables.schema import PROPOSALS
from toprung.search.choice.confirm_jobs import (
    FOLDER,
    confirm_job,
    confirm_runs,
    point_key,
    trainings_by_point,
)
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.preparation.prepare import prepared_space
from toprung.search.strategy.sampling.samplers import locate_in_space
from toprung.spaces.errors import InputError
from toprung.trainables.worker.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from toprung.search.choice.confirm_jobs import ConfirmRun, Training
    from toprung.search.jobs.schema import Job
    from toprung.search.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Confirmation:
    """What the trainings with new seeds come to.

    Attributes:
        means: The candidates that trained well, best first.
        left_out: By trial id, why a candidate is left out.
        missing: Number of trainings that failed or lost their workers, and were not replaced.
    """

    means: tuple[ConfirmedMean, ...]
    left_out: Mapping[str, str]
    missing: int


def confirm(job: Job, folder: RunFolder, board: pd.DataFrame, train: Callable[[Job], object]) -> Confirmation:
    """Train the first `job.finalists` configurations of the board again.

    Each is trained with `job.retrain.seeds` new seeds; with `job.data.folds` once for each fold of train + validation,
    which then is the validation set. Trainings of earlier confirmations of this run count. A configuration that
    diverges or runs out of memory in any of them is left out, since another training may end like that.

    Args:
        job: The run's job.
        folder: The run.
        board: A leaderboard of trials that may win.
        train: Runs a job, or continues it.

    Raises:
        InputError: The space does not allow one of the configurations any more, or there are too few images for folds.
        SearchFailedError: No configuration has two trainings, so that there is no spread to estimate.
    """
    points = candidates_of(job, folder, board, job.finalists)
    for fold in folds_of(job):
        _train_missing(job, folder, points, fold, train)
    runs = list(confirm_runs(folder, job))
    for run in runs:
        if run.has_ended:
            CheckpointStore(run.folder.checkpoints).keep_only(
                frozenset()
            )  # nothing continues from them any more
    known = trainings_by_point(runs, job.search.metric)
    return _confirmation(job, folder, {name: known[point_key(params)] for name, params in points.items()})


def folds_of(job: Job) -> Sequence[int | None]:
    """The folds that validate in turn; None stands for the run's own validation set."""
    return range(job.data.folds) if job.data.folds else [None]


def _train_missing(
    job: Job,
    folder: RunFolder,
    points: Mapping[str, Mapping[str, Any]],
    fold: int | None,
    train: Callable[[Job], object],
) -> None:
    """Train what earlier confirmations with this fold have not."""
    runs = [run for run in confirm_runs(folder, job) if run.fold == fold]
    missing = _job_for_missing(job, folder, points, [run for run in runs if run.has_ended], fold)
    if missing and missing.run_root not in [run.folder.root for run in runs]:
        # No unfinished run trains exactly these: count what any of them has trained, and train the rest anew.
        missing = _job_for_missing(job, folder, points, runs, fold)
    if missing:
        train(missing)


def _job_for_missing(
    job: Job,
    folder: RunFolder,
    points: Mapping[str, Mapping[str, Any]],
    runs: Sequence[ConfirmRun],
    fold: int | None,
) -> Job | None:
    """The job of the trainings that these runs do not have; None when they have enough of each."""
    known = trainings_by_point(runs, job.search.metric)
    wanted = job.retrain.seeds if fold is None else 1
    missing = [p for p in points.values() for _ in range(wanted - len(known[point_key(p)]))]
    return confirm_job(job, folder, missing, len(runs), fold) if missing else None


def _confirmation(job: Job, folder: RunFolder, found: Mapping[str, Sequence[Training]]) -> Confirmation:
    left_out = {
        name: f"{training.outcome} with a new seed"
        for name, trainings in found.items()
        for training in trainings
        if training.outcome.rules_out_config
    }
    left_out |= {name: "no training ended well" for name, trainings in found.items() if not trainings}
    curves = {
        name: [training.curve for training in sorted(trainings, key=_fold)]
        for name, trainings in found.items()
        if name not in left_out
    }
    if all(len(rows) < 2 for rows in curves.values()):
        reasons = ", ".join(f"{name} {left_out.get(name, 'trained once')}" for name in found)
        raise SearchFailedError(
            f"no configuration could be confirmed ({reasons}); see the column `reason` of the trials of the runs in "
            f"{folder.path(FOLDER)}; the same command tries again what failed or lost its worker"
        )
    wanted = job.data.folds or job.retrain.seeds
    missing = sum(max(0, wanted - len(trainings)) for trainings in found.values())
    objective = job.search.optimized.main
    limits = (0.0, math.inf if objective.metric == "val_loss" else 1.0)
    means = confirmed(curves, objective, job.retrain.epochs, limits)
    if job.data.folds:
        values = {mean.trial_id: [row[mean.epoch - 1] for row in curves[mean.trial_id]] for mean in means}
        means = across_folds(means, values)
    return Confirmation(tuple(means), left_out, missing)


def _fold(training: Training) -> int:
    return -1 if training.fold is None else training.fold


def candidates_of(job: Job, folder: RunFolder, board: pd.DataFrame, count: int) -> dict[str, dict[str, Any]]:
    """The first `count` different configurations of a leaderboard, as points of the job's space.

    Returns:
        By trial id, the value of each parameter that the space suggests; a configuration may lack some of them, or
        hold them under another name.

    Raises:
        InputError: The space does not allow one of them any more.
    """
    space, suggested = prepared_space(job), suggested_of(read_table(folder.root, PROPOSALS))
    configs: dict[str, dict[str, Any]] = {}
    for row in board.to_dict("records"):
        config = config_of({str(name): value for name, value in row.items()})
        if config not in configs.values() and len(configs) < count:
            configs[str(row["trial_id"])] = config
    points = {name: locate_in_space(space, config, suggested.get(name)) for name, config in configs.items()}
    for name, point in points.items():
        # A parameter that is fixed by now may have had another value in the search.
        if point is None or point.config != configs[name]:
            given = f"{name} is no configuration of it any more"
            raise InputError.single("space", given, "must allow the best configurations")
    return {name: dict(point.params) for name, point in points.items() if point}


def describe(confirmation: Confirmation, board: pd.DataFrame, metric: str) -> list[str]:
    """A line for each candidate: its mean over new seeds with the 95% interval, and its value in the search."""
    searched = dict(zip(board["trial_id"], board[metric], strict=True))
    lines = [
        f"  {mean.trial_id}  {metric} {mean.score:.4f} ({mean.low:.4f} to {mean.high:.4f}) "
        f"at epoch {mean.epoch}, {mean.seeds} {mean.repeats}; {searched[mean.trial_id]:.4f} in the search"
        for mean in confirmation.means
    ]
    lines += [f"  {name}  left out: {reason}" for name, reason in confirmation.left_out.items()]
    if confirmation.missing:
        lines.append(
            f"  {confirmation.missing} trainings failed or lost their workers; the same command tries again"
        )
    return lines
