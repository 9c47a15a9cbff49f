"""Which trials a budget of time cannot hold, by the seconds of their epochs beside those of other trials."""

from __future__ import annotations

from statistics import median

SLOW_FACTOR = 3.0  # an epoch of so many times the median is slow; the epochs of one trial differ by less
ENOUGH_TRIALS = 3  # whose epochs were timed, so that a median says what is usual


class EpochPace:
    """The seconds of an epoch of each trial; the first epoch, in which a model is compiled, does not count."""

    def __init__(self) -> None:
        self._secs: dict[str, list[float]] = {}

    def add(self, trial_id: str, epoch: int, epoch_secs: float) -> None:
        """Take in how long an epoch of a trial took."""
        if epoch > 1:
            self._secs.setdefault(trial_id, []).append(epoch_secs)

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
        others = [median(secs) for name, secs in self._secs.items() if name != trial_id]
        if trial_id not in self._secs or len(others) < ENOUGH_TRIALS:
            return None
        own_secs, usual_secs = median(self._secs[trial_id]), median(others)
        if own_secs <= SLOW_FACTOR * usual_secs or own_secs * epochs_left <= secs_left:
            return None
        return (
            f"an epoch takes {own_secs:.3g} s, {own_secs / usual_secs:.1f} times the median; its {epochs_left} epochs "
            f"cannot end in the {secs_left:.0f} s that are left"
        )
