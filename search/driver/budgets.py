"""When a search has spent enough: pure limits over pure facts."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
    """What a search may use; None sets no limit. `mode` says whether `target` is reached from below or above."""

    epochs: int | None = None
    gpu_hours: float | None = None
    wall_clock_hours: float | None = None
    target: float | None = None
    plateau_trials: int | None = None
    mode: str = "max"

    def reached(self, spent: BudgetUsage) -> str | None:
        """The first limit that is reached, as one phrase for the log, or None. A NaN best reaches no target."""
        for name in ("epochs", "gpu_hours", "wall_clock_hours"):
            limit, used = getattr(self, name), getattr(spent, name)
            if limit is not None and used >= limit:
                return f"budget of {limit:g} {name.replace('_', ' ')} is spent"
        if self.target is not None and self._at_least(spent.best, self.target):
            return f"target {self.target:g} is reached with {spent.best:g}"
        if self.plateau_trials is not None and spent.trials_since_best >= self.plateau_trials:
            return f"no new best in {spent.trials_since_best} trials"
        return None

    def secs_left(self, since: BudgetUsage, now: BudgetUsage) -> float | None:
        """Until the first limit on what is used up, at the pace since then; None where no such limit can be foreseen.

        `since` is of the driver's start, from which wall-clock is counted.
        """
        secs = 3600 * now.wall_clock_hours
        left = [] if self.wall_clock_hours is None else [3600 * self.wall_clock_hours - secs]
        for name in ("epochs", "gpu_hours"):
            limit, used = getattr(self, name), getattr(now, name) - getattr(since, name)
            if limit is not None and used > 0:
                left.append((limit - getattr(now, name)) / used * secs)
        return max(0.0, min(left)) if left else None

    def _at_least(self, value: float, target: float) -> bool:
        return value >= target if self.mode == "max" else value <= target
