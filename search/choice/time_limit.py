"""`retrain.hours`: for how many epochs a winner trains in that time, and which trials can win at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toprung.results.analysis.preference import costs_of
from toprung.results.analysis.winner import rank_trials
from toprung.search.driver.progress_display import PROGRESS_LOG

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from toprung.results.analysis.winner import Winner
    from toprung.search.choice.searched_run import SearchedRun

_log = logging.getLogger(PROGRESS_LOG)
LEAST_SHARE = 2 / 3
"""The share of a trial's own epochs that its retraining has to reach: what a longer training scored says little of a
much shorter one."""
MAX_EPOCHS = 100_000
_SECS_PER_HOUR = 3600.0


def epochs_within(secs: float, epoch_secs: float) -> int:
    """The whole epochs that fit into `secs`, at least one."""
    return max(1, min(MAX_EPOCHS, int(secs / epoch_secs)))


def is_long_enough(epochs: int, trained_epochs: int) -> bool:
    """Whether a retraining of so many epochs tells that a trial which trained for `trained_epochs` was the best."""
    return epochs >= LEAST_SHARE * trained_epochs


@dataclass(frozen=True)
class TimeLimit:
    """The hours of a retraining.

    Attributes:
        hours: Of all its trainings together.
        epochs: By trial id, for how many epochs each of its trainings then trains. Trials are absent whose seconds are
            not recorded.
    """

    hours: float
    epochs: Mapping[str, int]

    @classmethod
    def of(cls, run: SearchedRun) -> TimeLimit | None:
        """The limit that the run's job names; None where it names none.

        An epoch of the retraining takes as long as the median epoch of the trial, and longer by the validation images
        that it trains on too. The training that calibrates the model has as many epochs without these.

        Raises:
            InputError: As `SearchedRun.checked_dataset`.
        """
        hours = run.job.retrain.hours
        if hours is None:
            return None
        counts = run.checked_dataset().counts
        passes = 1 + counts["val"] / counts["train"] + run.job.retrain.calibrate
        secs = {name: passes * each for name, each in costs_of("fastest", run.trials, run.epochs).items()}
        epochs = {
            name: epochs_within(hours * _SECS_PER_HOUR, each) for name, each in secs.items() if each > 0
        }
        return cls(hours, epochs)

    def can_train(self, trial_id: str, trained_epochs: int) -> bool:
        """Whether a trial that trained for `trained_epochs` can be trained again for long enough."""
        return is_long_enough(self.epochs.get(trial_id, 0), trained_epochs)

    def applied(self, winner: Winner) -> Winner:
        """The winner with the epochs that fit; as it is where its seconds are not recorded."""
        return replace(winner, train_epochs=self.epochs.get(winner.trial_id, winner.train_epochs))


def within_limit(run: SearchedRun, limit: TimeLimit) -> pd.DataFrame:
    """The rows of the run's table `trials` that the limit can train again for long enough; all where it can none.

    What it leaves out that scored better than every other is logged.
    """
    metric = run.job.search.metric
    board = rank_trials(run.trials, run.epochs, run.job.search.optimized.main)
    lasts = dict(zip(board["trial_id"], board["last_epoch"].astype(int), strict=True))
    kept = [trial_id for trial_id, last in lasts.items() if limit.can_train(trial_id, last)]
    if not kept:
        return run.trials
    for trial_id, value in zip(board["trial_id"], board[metric], strict=True):
        if trial_id in kept:
            break
        epochs = limit.epochs.get(trial_id)
        pays = "its seconds are not recorded" if epochs is None else f"it pays for {epochs} epochs"
        given = f"{metric} {value:.4f} after {lasts[trial_id]} epochs"
        _log.info(f"retrain.hours {limit.hours:g} leaves out {trial_id} ({given}): {pays}")
    return run.trials[run.trials["trial_id"].isin(kept)]
