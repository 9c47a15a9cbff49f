"""Which trials a budget of time cannot hold, by the seconds of their epochs beside those of other trials."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from statistics import median

SLOW_FACTOR = 3.0  # an epoch of so many times the median is slow; the epochs of one trial differ by less
ENOUGH_TRIALS = 3  # whose epochs were timed, so that a median says what is usual


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

    def too_slow(self, trial_id: str, epochs_left: int, secs_left: float) -> str | None:
        """Why a trial is not worth its time any more: it is slow, and cannot end in the seconds that are left.

        A trial that is as fast as others goes on to the end of the budget: no other would do better in that time.

        Args:
            trial_id: The trial.
            epochs_left: To its last epoch.
            secs_left: Of the budget.

        Returns:
            The reason, for the log; None for a trial that goes on.
        """
        own_secs = self._medians.get(trial_id, self._first_secs.get(trial_id))
        others = len(self._medians) - (trial_id in self._medians)
        if own_secs is None or own_secs * epochs_left <= secs_left or others < ENOUGH_TRIALS:
            return None
        usual_secs = self._median_without(trial_id)
        if own_secs <= SLOW_FACTOR * usual_secs:
            return None
        return (
            f"an epoch takes {own_secs:.3g} s, {own_secs / usual_secs:.1f} times the median; its {epochs_left} epochs "
            f"cannot end in the {secs_left:.0f} s that are left"
        )

    def _median_without(self, trial_id: str) -> float:
        """The median of the medians of all trials but one."""
        own_place = count = len(self._sorted_medians)
        if trial_id in self._medians:
            own_place, count = bisect_left(self._sorted_medians, self._medians[trial_id]), count - 1
        middle = [place + (place >= own_place) for place in ((count - 1) // 2, count // 2)]
        return sum(self._sorted_medians[place] for place in middle) / 2
