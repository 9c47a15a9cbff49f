"""`retrain.hours`: for how many epochs a winner trains in that time, and what its trial's epochs are worth then."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toprung.results.analysis.preference import costs_of
from toprung.search.driver.progress_display import PROGRESS_LOG

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from toprung.results.analysis.winner import Winner
    from toprung.search.choice.searched_run import SearchedRun

_log = logging.getLogger(PROGRESS_LOG)
MAX_EPOCHS = 100_000
LEAST_SHARE = 2 / 3
"""A trial counts by the epochs of which the retraining has this share: with schedules that end there it scores about as
well, and what the trial scored after more says little of so short a training."""
_SECS_PER_HOUR = 3600.0


def counted_epochs(fitting_epochs: int) -> int:
    """Up to which of its own epochs a trial counts whose retraining has so many."""
    return int(fitting_epochs / LEAST_SHARE)


@dataclass(frozen=True)
class TimeLimit:
    """The hours of a retraining.

    Attributes:
        hours: Of all its trainings together.
        epochs: By trial id, how many epochs of each of its trainings fit. Trials are absent whose seconds are not
            recorded.
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
        fitting = {name: hours * _SECS_PER_HOUR / each for name, each in secs.items() if each > 0}
        return cls(hours, {name: int(min(MAX_EPOCHS, epochs)) for name, epochs in fitting.items()})

    def counted(self, epochs: pd.DataFrame) -> pd.DataFrame:
        """The rows of the table `epochs` by which the trials count; all where none is left."""
        most = {name: counted_epochs(fitting) for name, fitting in self.epochs.items()}
        kept = epochs[epochs["epoch"] <= epochs["trial_id"].map(most).fillna(0)]
        return epochs if kept.empty else kept

    def applied(self, winner: Winner) -> Winner:
        """The winner with the epochs that fit, at least one; as it is where its seconds are not recorded.

        What cannot be held is logged.
        """
        if winner.trial_id not in self.epochs:
            _log.info(f"retrain.hours: the seconds of {winner.trial_id} are not recorded; its curve decides")
            return winner
        fitting = self.epochs[winner.trial_id]
        if counted_epochs(fitting) < winner.epoch:
            pays = f"retrain.hours {self.hours:g} pays for {fitting} epochs of {winner.trial_id}"
            _log.info(f"note: {pays}, which scored {winner.score:.4f} at epoch {winner.epoch}")
        return replace(winner, train_epochs=max(1, fitting))
