"""The winner of a run: by its tables, or by trainings with new seeds where the job asks for them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toprung.results.analysis.winner import Winner, confirmed_winner, eligible, pick_winner
from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.driver.run_search import run_search
from toprung.search.winner.confirm import confirm, describe
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.search.jobs.schema import Job, RetrainSection
    from toprung.search.winner.kept_models import KeptModel
    from toprung.search.winner.searched_run import SearchedRun

_progress_log = logging.getLogger(PROGRESS_LOG)


def choose_winner(run: SearchedRun, trial_id: str | None = None, address: str | None = None) -> Winner:
    """The best trial of the run, or the trial that the user chose.

    With `retrain.confirm` in the job the best trials are trained with new seeds first, and their means decide.

    Args:
        run: The run to retrain.
        trial_id: The chosen trial; None for the best.
        address: The Ray cluster that trains the new seeds, see `run_search`.

    Raises:
        InputError: No trial may win, or the chosen one may not.
        SearchFailedError: No configuration could be confirmed.
    """
    objective = run.job.search.optimized.main
    winner = pick_winner(run.trials, run.epochs, objective, trial_id)
    if not run.job.retrain.confirm:
        return winner

    def train(job: Job) -> None:
        run.checked_dataset()
        trainings = f"{job.search.trials} trainings of {job.search.max_epochs} epochs"
        _progress_log.info("confirming the best: %s, tables in %s", trainings, job.run_root)
        run_search(job, address)

    board = eligible(run.trials, run.epochs, objective, trial_id)
    candidates = board if trial_id is None else board.head(1)
    confirmation = confirm(run.job, run.folder, candidates, train)
    for line in ("confirmed, means over new seeds:", *describe(confirmation, board, objective.metric)):
        _progress_log.info("%s", line)
    winner = confirmed_winner(winner, run.trials, confirmation.means, objective)
    return winner if trial_id is None else replace(winner, why=f"chosen by its name: {winner.why}")


def earlier_model(
    kept: Sequence[KeptModel], winner: Winner, retrain: RetrainSection, is_default: bool
) -> KeptModel | None:
    """The model of an earlier retraining that this one would only repeat; None where there is something to train.

    Args:
        kept: The models of the run; where the user asks for nothing in particular the last one is looked at first.
        winner: The winner by now.
        retrain: The settings of the retraining.
        is_default: Whether the user asked for the best trial without a confirmation and without a number of epochs.

    Raises:
        InputError: The earlier model was confirmed, but not against this winner, which may be better by chance only.
    """
    for model in kept:
        if _is_same_training(model.report, winner, retrain):
            return model
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


def _is_same_training(report: Mapping[str, Any], winner: Winner, retrain: RetrainSection) -> bool:
    # Reports of earlier versions have no `train_epochs`: these trained up to the epoch of the winner's best value.
    has_train_epochs = "train_epochs" in report.get("winner", {})
    planned = retrain.epochs or (
        winner.train_epochs if has_train_epochs or winner.confirmed else winner.epoch
    )
    is_calibrated = report.get("calibrated", retrain.calibrate)
    asked = (winner.trial_id, planned, retrain.calibrate)
    return bool((report["trial_id"], report["epochs"], is_calibrated) == asked)
