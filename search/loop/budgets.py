"""When a search has used enough: limits on counts, hours and values, without a clock of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toprung.trainables.trial.objectives import Objective


@dataclass(frozen=True)
class BudgetUsage:
    """What a search has used and found so far; `best` is NaN until a finite value was reported."""

    epochs: int = 0
    gpu_hours: float = 0.0
    wall_clock_hours: float = 0.0
    best: float = math.nan
    trials_since_best: int = 0


@dataclass(frozen=True)
class BudgetLimits:
    """What a search may use, and the value of its metric at which it has found enough; None sets no limit."""

    epochs: int | None = None
    gpu_hours: float | None = None
    wall_clock_hours: float | None = None
    target: float | None = None
    plateau_trials: int | None = None

    def reached(self, usage: BudgetUsage, objective: Objective) -> str | None:
        """The first limit that is reached, as a phrase for the log, or None. A NaN best reaches no target."""
        for name in ("epochs", "gpu_hours", "wall_clock_hours"):
            limit, used = getattr(self, name), getattr(usage, name)
            if limit is not None and used >= limit:
                return f"budget of {limit:g} {name.replace('_', ' ')} is spent"
        if self.target is not None and objective.score(usage.best) >= objective.score(self.target):
            return f"target {self.target:g} is reached with {usage.best:g}"
        if self.plateau_trials is not None and usage.trials_since_best >= self.plateau_trials:
            return f"no new best in {usage.trials_since_best} trials"
        return None

    def trial_secs_left(self, usage: BudgetUsage, gpus: float) -> float:
        """For how long a trial with a share `gpus` of a GPU can train at most; infinite without such a limit."""
        left_secs = math.inf
        if self.wall_clock_hours is not None:
            left_secs = 3600 * (self.wall_clock_hours - usage.wall_clock_hours)
        if self.gpu_hours is not None and gpus:
            left_secs = min(left_secs, 3600 * (self.gpu_hours - usage.gpu_hours) / gpus)
        return max(0.0, left_secs)

    def secs_left(self, at_start: BudgetUsage, now: BudgetUsage) -> float | None:
        """Seconds until the first limit on epochs or hours is reached, at the rate since the start.

        Args:
            at_start: The usage when this driver started, from which wall-clock is counted.
            now: The usage now.

        Returns:
            None where there is no such limit, or nothing was used yet from which to tell.
        """
        secs = 3600 * now.wall_clock_hours
        left = [] if self.wall_clock_hours is None else [3600 * self.wall_clock_hours - secs]
        for name in ("epochs", "gpu_hours"):
            limit, used = getattr(self, name), getattr(now, name) - getattr(at_start, name)
            if limit is not None and used > 0:
                left.append((limit - getattr(now, name)) / used * secs)
        return max(0.0, min(left)) if left else None
