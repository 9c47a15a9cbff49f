"""Which trials a budget of time cannot hold, by the seconds of their epochs beside those of other trials."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from statistics import median

from toprung.trainables.trial.epoch_limit import EpochLimit


class EpochPace:
    """The seconds of an epoch of each trial.

    The first epoch counts for its own trial alone, and until the second: it may also prepare what later ones use, or
    train a part of the network.
    """

    def __init__(self) -> None:
        self._first_secs: dict[str, float] = {}
        self._secs: dict[str, list[float]] = {}
        self._medians: dict[str, float] = {}
        self._sorted_medians: list[float] = []

    def add(self, trial_id: str, epoch: int, epoch_secs: float) -> None:
        """Take in how long an epoch of a trial took; a number that is not finite says nothing."""
        if not math.isfinite(epoch_secs):
            return
        if epoch <= 1:
            self._first_secs[trial_id] = epoch_secs
            return
        if trial_id in self._medians:
            del self._sorted_medians[bisect_left(self._sorted_medians, self._medians[trial_id])]
        self._secs.setdefault(trial_id, []).append(epoch_secs)
        self._medians[trial_id] = median(self._secs[trial_id])
        insort(self._sorted_medians, self._medians[trial_id])

    def limit(self, trial_id: str, secs_left: float) -> EpochLimit | None:
        """What the epochs of a trial are held against; None while no other was timed, or without a limit.

        Args:
            trial_id: The trial, timed or not.
            secs_left: Of the budget.
        """
        others = len(self._medians) - (trial_id in self._medians)
        if not others or secs_left == math.inf:
            return None
        return EpochLimit(self._median_without(trial_id), others, secs_left)

    def why_too_slow(self, trial_id: str, epochs_left: int, secs_left: float) -> str | None:
        """Why a trial is not worth its time any more, see `EpochLimit`; None for a trial that goes on.

        Args:
            trial_id: The trial.
            epochs_left: To its last epoch.
            secs_left: Of the budget.
        """
        own_secs = self._medians.get(trial_id, self._first_secs.get(trial_id))
        limit = self.limit(trial_id, secs_left)
        return None if own_secs is None or limit is None else limit.why_too_slow(own_secs, epochs_left)

    def _median_without(self, trial_id: str) -> float:
        """The median of the medians of all trials but one."""
        own_place = count = len(self._sorted_medians)
        if trial_id in self._medians:
            own_place, count = bisect_left(self._sorted_medians, self._medians[trial_id]), count - 1
        middle = [place + (place >= own_place) for place in ((count - 1) // 2, count // 2)]
        return sum(self._sorted_medians[place] for place in middle) / 2
