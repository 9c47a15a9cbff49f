"""`toprung retrain`: choose the winner, train it on train + validation, test it once, save it, register it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.preparation.job_placement import check_gpus
from toprung.search.winner.choose import choose_winner, keeps_model
from toprung.search.winner.registration import register
from toprung.search.winner.remote_training import Patience, train_on_cluster
from toprung.search.winner.report import (
    put_report,
    read_report,
    winner_summary,
)
from toprung.search.winner.searched_run import SearchedRun
from toprung.search.winner.train import winner_training
from toprung.search.winner.train_and_test import EpochTrained, train_and_test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.results.analysis.winner import Winner
    from toprung.search.runs.run_folder import RunFolder
    from toprung.search.winner.report import Report
    from toprung.search.winner.winner_training import WinnerTraining

_progress_log = logging.getLogger(PROGRESS_LOG)


@dataclass(frozen=True)
class Retrained:
    """A retrained winner: its report as saved beside the model; `is_new` is False where an earlier model stays."""

    folder: RunFolder
    report: Report
    is_new: bool


def retrain_winner(
    folder: RunFolder,
    overrides: Sequence[str] = (),
    trial_id: str | None = None,
    address: str | None = None,
) -> Retrained:
    """Train a configuration of the run on train + validation, test it, save and register the model.

    A training that was interrupted, by a killed process or a lost node, goes on from its last saved state.

    The test set is read once for each winner: a second call with the same winner and number of epochs returns the
    first report, and registers the model where MLflow did not take it before.

    Args:
        folder: The run.
        overrides: `a.b=value` texts laid over the run's job.
        trial_id: The trial to retrain; None for the best one, which is confirmed first where the job says so.
        address: The Ray cluster that confirms and trains, see `run_search`; None trains in this process, unless it
            is part of a Ray job.

    Raises:
        InputError: The run has no winner, its images have changed, or it cannot be written.
        ClusterUnreachableError: No cluster answers at the address.
        SearchFailedError: The training diverged or failed, or no configuration could be confirmed.
    """
    run = SearchedRun.read(folder, overrides)
    check_gpus(run.job)
    retrain = run.job.retrain
    earlier = read_report(folder)
    winner = choose_winner(run, trial_id, address)
    is_default = not (trial_id or retrain.confirm or retrain.epochs)
    if earlier and keeps_model(earlier, winner, retrain.epochs, is_default):
        _update_report(run, earlier, winner)
        return Retrained(folder, earlier, is_new=False)
    dataset = run.checked_dataset()
    _progress_log.info("winner %s: %s", winner.trial_id, winner.why)
    work = winner_training(run, winner, dataset, retrain.epochs or winner.train_epochs)
    report = train_test_and_save(run, work, address)
    return Retrained(folder, report, is_new=True)


def train_test_and_save(run: SearchedRun, work: WinnerTraining, address: str | None) -> Report:
    """Train the winner, save its model, read the test set once, save the report and register both.

    A process of a Ray cluster trains where there is one, else this process.
    """
    if address is None and "RAY_ADDRESS" not in os.environ:
        messages = train_and_test(work)
    else:
        resources = run.job.resources
        patience = Patience(resources.max_failures, 60 * resources.wait_minutes)
        messages = train_on_cluster(work, address, patience)
    for message in messages:
        if isinstance(message, EpochTrained):
            _progress_log.info("%s", message.line)
        else:
            report = message
    register(run.job, run.folder, report)
    return report


def _update_report(run: SearchedRun, report: Report, winner: Winner) -> None:
    """Add to an earlier report what was confirmed or registered since."""
    if winner.confirmed and report.get("winner") != winner_summary(winner):
        report["winner"] = winner_summary(winner)
        put_report(run.folder, report)
    # Reports of earlier versions have no such key, and their models may well be registered.
    is_unregistered = "registered" in report and report["registered"] is None
    if is_unregistered and run.job.tracking.enabled:
        register(run.job, run.folder, report)
