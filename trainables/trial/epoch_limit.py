"""How long an epoch of a trial may take under a budget of time."""

from __future__ import annotations

from dataclasses import dataclass

SLOW_FACTOR = 3.0  # an epoch of so many times the usual is slow; the epochs of one trial differ by less
ENOUGH_TRIALS = 3  # whose median says what is usual


@dataclass(frozen=True)
class EpochLimit:
    """What the epochs of a trial are held against.

    Attributes:
        usual_secs: Of an epoch of the other trials that were timed, their median.
        timed_trials: How many they are.
        secs_left: For which the trial can train at most.
    """

    usual_secs: float
    timed_trials: int
    secs_left: float

    def why_too_slow(self, epoch_secs: float, epochs_left: int) -> str | None:
        """Why a trial is not worth its time: it is slow, and cannot end in the seconds that are left.

        A trial that is as fast as others goes on to the end of the budget: no other would do better in that time. While
        few others were timed, it is trained where at least one epoch fits.

        Args:
            epoch_secs: Of an epoch of the trial.
            epochs_left: To its last epoch.

        Returns:
            The reason, for the log; None for a trial that goes on.
        """
        # Nothing is usual where no time was measured.
        is_slow = epoch_secs > SLOW_FACTOR * self.usual_secs > 0.0
        epochs = epochs_left if self.timed_trials >= ENOUGH_TRIALS else min(1, epochs_left)
        if not is_slow or epoch_secs * epochs <= self.secs_left:
            return None
        return (
            f"an epoch takes {epoch_secs:.3g} s, {epoch_secs / self.usual_secs:.1f} times the median; its "
            f"{epochs_left} epochs cannot end in the {self.secs_left:.0f} s that are left"
        )
