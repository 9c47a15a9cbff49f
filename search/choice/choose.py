"""The winner of a run: by its tables, or by trainings with new seeds where the job asks for them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toprung.results.analysis.image_noise import doubt_of_lead
from toprung.results.analysis.preference import BEST
from toprung.results.analysis.winner import Winner, confirmed_winner, eligible, pick_winner
from toprung.search.choice.confirm import confirm, describe
from toprung.search.choice.prefer import Preferring
from toprung.search.choice.time_limit import TimeLimit, schedule_epochs
from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from toprung.search.choice.searched_run import SearchedRun
    from toprung.search.jobs.schema import Job
    from toprung.search.retrained.kept_models import KeptModel

_progress_log = logging.getLogger(PROGRESS_LOG)


def choose_winner(run: SearchedRun, trial_id: str | None = None, address: str | None = None) -> Winner:
    """The best trial of the run, or the trial that the user chose.

    With `retrain.confirm` in the job the best trials are trained with new seeds first, and their means decide. With
    `retrain.prefer` a cheaper one takes the place of the best where noise alone may set them apart. With
    `retrain.hours` trials count by the epochs that the retraining can reach, and it has as many as fit.

    Args:
        run: The run to retrain.
        trial_id: The chosen trial; None for the best.
        address: The Ray cluster that trains the new seeds, see `run_search`.

    Raises:
        InputError: No trial may win, or the chosen one may not, or no noise is known to prefer a cheaper one by.
        SearchFailedError: No configuration could be confirmed.
    """
    limit = TimeLimit.of(run)
    if limit is None:
        return _chosen(run, run.epochs, trial_id, address)
    best = pick_winner(run.trials, run.epochs, run.job.search.optimized.main, trial_id)
    if line := limit.not_reached(best):
        _progress_log.info("note: %s", line)
    counted = limit.counted(run.epochs) if trial_id is None else run.epochs
    return limit.applied(_chosen(run, counted, trial_id, address))


def _chosen(run: SearchedRun, epochs: pd.DataFrame, trial_id: str | None, address: str | None) -> Winner:
    """As `choose_winner`, by these rows of the table `epochs`, with the epochs to train that its own curve tells."""
    objective = run.job.search.optimized.main
    winner = pick_winner(run.trials, epochs, objective, trial_id)
    prefers_cheap = run.job.retrain.prefer != BEST and trial_id is None
    if not run.job.finalists:
        board = eligible(run.trials, epochs, objective)
        return Preferring(run, epochs).among_trials(winner, board) if prefers_cheap else winner

    def train(job: Job) -> None:
        run.checked_dataset()
        # It imports Ray Tune, a second that a choice without new seeds saves.
        from toprung.search.driver.run_search import run_search

        trainings = f"{job.search.trials} trainings of {job.search.max_epochs} epochs"
        part = "" if job.data.fold is None else f", fold {job.data.fold + 1} of {job.data.folds}"
        _progress_log.info("confirming the best%s: %s, tables in %s", part, trainings, job.run_root)
        run_search(job, address)

    board = eligible(run.trials, epochs, objective, trial_id)
    candidates = board if trial_id is None else board.head(1)
    confirmation = confirm(run.job, run.folder, candidates, train)
    over = "the folds" if run.job.data.folds else "new seeds"
    for line in (f"confirmed, means over {over}:", *describe(confirmation, board, objective.metric)):
        _progress_log.info("%s", line)
    winner = confirmed_winner(winner, run.trials, confirmation.means, objective)
    if prefers_cheap:
        return Preferring(run, epochs).among_confirmed(winner, confirmation.means)
    return winner if trial_id is None else replace(winner, why=f"chosen by its name: {winner.why}")


def announce(winner: Winner, val_images: int = 0) -> None:
    """Say which trial is the winner and why, and where its lead is no more than noise.

    Args:
        winner: The winner.
        val_images: The number of images that the trials were compared on; 0 says nothing of noise.
    """
    _progress_log.info("winner %s: %s", winner.trial_id, winner.why)
    if val_images and (doubt := doubt_of_lead(winner, val_images)):
        _progress_log.info("note: %s", doubt)


def earlier_model(
    kept: Sequence[KeptModel], winner: Winner, job: Job, trial_id: str | None
) -> KeptModel | None:
    """The model of an earlier retraining that this one would only repeat; None where there is something to train.

    Where the user asks for nothing in particular, a model that was confirmed stays.

    Args:
        kept: The models of the run.
        winner: The winner by now.
        job: The run's, with the settings of the retraining.
        trial_id: The trial that the user chose; None for the best.

    Raises:
        InputError: The earlier model was confirmed, but not against this winner, which may be better by chance only.
    """
    retrain = job.retrain
    for model in kept:
        if _is_same_training(model.report, winner, job):
            return model
    is_timed = retrain.epochs or retrain.hours
    is_default = not (trial_id or job.finalists or is_timed or retrain.prefer != BEST)
    confirmed = [model for model in kept if model.report.get("winner", {}).get("confirmed")]
    if not (is_default and confirmed):
        return None
    model = confirmed[-1]
    if winner.trial_id not in [mean["trial_id"] for mean in model.report["winner"]["confirmed"]]:
        trial_id = model.report["trial_id"]
        given = f"the model of {trial_id} was confirmed, {winner.trial_id} is the best by now and was not"
        allowed = f"give --set retrain.confirm=K as before, or --trial {winner.trial_id}"
        raise InputError.single("retrain.confirm", given, allowed)
    return model


def _is_same_training(report: Mapping[str, Any], winner: Winner, job: Job) -> bool:
    # Reports of earlier versions have no `train_epochs`: these trained up to the epoch of the winner's best value.
    retrain, has_train_epochs = job.retrain, "train_epochs" in report.get("winner", {})
    planned = retrain.epochs or (
        winner.train_epochs if has_train_epochs or winner.confirmed else winner.epoch
    )
    # Nor have they `schedule_epochs`: hours ended none of them.
    schedule = report.get("schedule_epochs") or max(job.search.max_epochs, report["epochs"])
    is_calibrated = report.get("calibrated", retrain.calibrate)
    asked = (winner.trial_id, planned, schedule_epochs(job, planned), retrain.calibrate)
    return bool((report["trial_id"], report["epochs"], schedule, is_calibrated) == asked)
