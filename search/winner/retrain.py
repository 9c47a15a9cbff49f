"""`toprung retrain`: choose the winner, train it on train + validation, test it once, keep it, name the champion."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.search.choice.choose import announce, choose_winner, earlier_model
from toprung.search.choice.searched_run import SearchedRun
from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.preparation.job_placement import check_gpus
from toprung.search.retrained.champion import decide, decisions
from toprung.search.retrained.kept_models import KeptModel, adopt_earlier_model, kept_models
from toprung.search.winner.registration import register
from toprung.search.winner.remote_training import Patience, train_on_cluster
from toprung.search.winner.report import winner_summary
from toprung.search.winner.train import winner_training
from toprung.search.winner.train_and_test import EpochTrained, train_and_test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.results.analysis.winner import Winner
    from toprung.search.retrained.champion import Decision
    from toprung.search.retrained.json_files import Report
    from toprung.search.runs.run_folder import RunFolder
    from toprung.search.winner.winner_training import WinnerTraining

_log = logging.getLogger("toprung")
_progress_log = logging.getLogger(PROGRESS_LOG)


@dataclass(frozen=True)
class Retrained:
    """A retrained winner.

    Attributes:
        model: It and its report, as saved beside it.
        decision: Whether it is the champion, and why.
        is_new: False where it was trained earlier.
    """

    model: KeptModel
    decision: Decision
    is_new: bool

    @property
    def report(self) -> Report:
        """The report of the model."""
        return self.model.report


def retrain_winner(
    folder: RunFolder,
    overrides: Sequence[str] = (),
    trial_id: str | None = None,
    address: str | None = None,
    promote: bool = False,
) -> Retrained:
    """Train a configuration of the run on train + validation, test it, keep and register the model.

    A training that was interrupted, by a killed process or a lost node, goes on from its last saved state. No model of
    an earlier retraining is overwritten. The new one becomes the champion unless it is worse on the same test images.

    The test set is read once for each model: a second call with the same winner and settings returns the first report,
    and registers the model where MLflow did not take it before.

    Args:
        folder: The run.
        overrides: `a.b=value` texts laid over the run's job.
        trial_id: The trial to retrain; None for the best one, which is confirmed first where the job says so.
        address: The Ray cluster that confirms and trains, see `run_search`; None trains in this process, unless it
            is part of a Ray job.
        promote: Whether the model becomes the champion whatever its test says.

    Raises:
        InputError: The run has no winner, its images have changed, or it cannot be written.
        ClusterUnreachableError: No cluster answers at the address.
        SearchFailedError: The training diverged or failed, the saved file is not what was trained, or no configuration
            could be confirmed.
    """
    run = SearchedRun.read(folder, overrides)
    check_gpus(run.job)
    retrain = run.job.retrain
    decisions(folder)  # a damaged record is told now and not after the training
    if adopted := adopt_earlier_model(folder):
        decide(folder, adopted)
    kept = kept_models(folder)
    winner = choose_winner(run, trial_id, address)
    earlier = earlier_model(kept, winner, run.job, trial_id)
    if earlier:
        if earlier.report["trial_id"] == winner.trial_id:
            announce(winner)
        _update_report(earlier, winner)
        model = earlier
    else:
        dataset = run.checked_dataset()
        announce(winner, 0 if trial_id else dataset.counts["val"])
        work = winner_training(run, winner, dataset, retrain.epochs or winner.train_epochs)
        model = KeptModel(work.model_folder, train_test_and_save(run, work, address))
    decision = decide(folder, model, promote)
    register(run.job, folder, model, decision)
    return Retrained(model, decision, is_new=earlier is None)


def train_test_and_save(run: SearchedRun, work: WinnerTraining, address: str | None) -> Report:
    """Train the winner, save its model, read the test set once and save the report.

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
            for note in message.result.notes:
                _log.warning("the retraining of %s: %s", work.winner.trial_id, note)
            _progress_log.info("%s", message.line)
        else:
            report = message
    return report


def _update_report(model: KeptModel, winner: Winner) -> None:
    """Add to an earlier report what was confirmed since."""
    if winner.confirmed and model.report.get("winner") != winner_summary(winner):
        model.report["winner"] = winner_summary(winner)
        model.save_report()
