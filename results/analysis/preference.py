"""The cheapest of the configurations that are as good as the best for all that is known (Breiman et al. 1984).

The rule of one standard error: whatever is not worse than the best by more than that may be chosen for another reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from toprung.trainables.trial.objectives import Objective

Preference = Literal["best", "smallest", "fastest"]
BEST: Preference = "best"


@dataclass(frozen=True)
class Candidate:
    """A trial: its value of the objective, and what it costs (NaN where that is not known)."""

    trial_id: str
    value: float
    cost: float


@dataclass(frozen=True)
class Choice:
    """The cheapest one, the best one (they may be the same), and how many are within the noise."""

    chosen: Candidate
    best: Candidate
    within: int


def cheapest(candidates: Sequence[Candidate], objective: Objective, standard_error: float) -> Choice:
    """The cheapest candidate whose value is at most a standard error worse than the best; of equal ones the best.

    Args:
        candidates: At least one, best first.
        objective: Which direction is better.
        standard_error: That of the best value.
    """
    best = candidates[0]
    least = objective.score(best.value) - standard_error
    within = [each for each in candidates if each is best or objective.score(each.value) >= least]
    known = [each for each in within if not math.isnan(each.cost)]
    # Python keeps the first of equal ones, and they are best first.
    chosen = min(known, key=lambda each: each.cost) if known else best
    return Choice(chosen, best, len(within))


def costs_of(preference: Preference, trials: pd.DataFrame, epochs: pd.DataFrame) -> Mapping[str, float]:
    """By trial id, the number of parameters, or the median seconds of an epoch; what is not known is absent."""
    if preference == "smallest":
        known = trials.dropna(subset=["parameter_count"])
        counts = known[known["parameter_count"] > 0].drop_duplicates("trial_id", keep="last")
        return dict(zip(counts["trial_id"], counts["parameter_count"].astype(float), strict=True))
    secs = epochs.groupby("trial_id")["epoch_secs"].median().dropna()
    return {str(name): float(value) for name, value in secs.items()}


def cost_in_words(preference: Preference, cost: float) -> str:
    """A cost with its unit."""
    if math.isnan(cost):
        return "cost not recorded"
    return f"{cost:,.0f} parameters" if preference == "smallest" else f"{cost:.3g} s an epoch"
