"""`retrain.hours`: for how many epochs a winner trains in that time, and what its trial's epochs are worth then."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toprung.results.analysis.preference import costs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from toprung.results.analysis.winner import Winner
    from toprung.search.choice.searched_run import SearchedRun
    from toprung.search.jobs.schema import Job

MAX_EPOCHS = 100_000
LEAST_SHARE = 2 / 3
"""A trial counts by the epochs of which the retraining has this share, as schedules that end earlier make up for some;
what it scored after more says little of so short a training. The share is a guess, which no measurement chose."""
_SECS_PER_HOUR = 3600.0


def counted_epochs(fitting_epochs: int) -> int:
    """Up to which of its own epochs a trial counts whose retraining has so many, or one where none fits."""
    return max(1, int(fitting_epochs / LEAST_SHARE))


def schedule_epochs(job: Job, epochs: int) -> int:
    """How long the schedules of a retraining of so many epochs are.

    They are as long as the search's, or as a longer retraining: epochs after their end would change nothing. Where
    hours end it, they are as long as it is: the last epochs of a schedule are its best.
    """
    return epochs if job.retrain.hours else max(job.search.max_epochs, epochs)


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
        """The rows of the table `epochs` by which the trials count: all of a trial whose seconds are not recorded."""
        most = {name: counted_epochs(fitting) for name, fitting in self.epochs.items()}
        return epochs[epochs["epoch"] <= epochs["trial_id"].map(most).fillna(math.inf)]

    def not_reached(self, best: Winner) -> str | None:
        """What to tell where the epoch at which a trial is best does not count; None where it does."""
        fitting = self.epochs.get(best.trial_id)
        if fitting is None or best.epoch <= counted_epochs(fitting):
            return None
        scored = f"{best.trial_id} scored {best.score:.4f} at epoch {best.epoch}"
        return f"{scored}, and {self._named} pays for {_epochs(fitting)} of it"

    def applied(self, winner: Winner) -> Winner:
        """The winner with the epochs that fit, at least one; those of its curve where its seconds are not known."""
        fitting = self.epochs.get(winner.trial_id)
        if fitting is None:
            return replace(
                winner, why=f"{winner.why}; its seconds are not recorded, so its curve tells the epochs"
            )
        return replace(
            winner,
            train_epochs=max(1, fitting),
            why=f"{winner.why}; {self._named} pays for {_epochs(fitting)}",
        )

    @property
    def _named(self) -> str:
        return f"retrain.hours {self.hours:.12f}".rstrip("0").rstrip(".")


def _epochs(count: int) -> str:
    return {0: "less than one epoch", 1: "1 epoch"}.get(count, f"{count:,} epochs")
