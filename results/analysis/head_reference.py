"""What fine-tuning gained over the reference of transfer learning: a head alone on the features of a frozen network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.results.analysis.leaderboard import Leader, best_epochs, may_win

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from toprung.trainables.trial.objectives import Objective


@dataclass(frozen=True)
class HeadReference:
    """The best value of a head on frozen features, and the best of a fine-tuned network; None where there is none yet.

    `gain` is how much better the fine-tuned network is, in the metric's own direction.
    """

    head: Leader
    tuned: Leader | None
    gain: float | None

    def line(self, metric: str) -> str:
        """Both in words."""
        head = f"{metric} {self.head.value:.4f} of a head on frozen features ({_place(self.head)})"
        if self.tuned is None or self.gain is None:
            return f"{head}: what fine-tuning has to beat"
        tuned = f"{self.tuned.value:.4f} ({_place(self.tuned)})"
        if self.gain <= 0.0:
            return f"{head}; fine-tuning gained nothing over it: {tuned}"
        return f"{head}; fine-tuned {tuned}, {self.gain:.4f} better"


def head_reference(
    epochs: pd.DataFrame, trials: pd.DataFrame, head_epochs: Mapping[str, int], objective: Objective
) -> HeadReference | None:
    """The reference of a run.

    Args:
        epochs, trials: The run's tables.
        head_epochs: In how many of its first epochs a trial trains the head alone, by trial id.
        objective: What is compared.

    Returns:
        None where no trial that may win has such an epoch.
    """
    losers = trials.loc[~may_win(trials["outcome"]), "trial_id"]
    rows = epochs[~epochs["trial_id"].isin(losers)]
    is_head = rows["epoch"] <= rows["trial_id"].map(head_epochs).fillna(0)
    head, tuned = _best(rows[is_head], objective), _best(rows[~is_head], objective)
    if head is None:
        return None
    gain = None if tuned is None else objective.sign * (tuned.value - head.value)
    return HeadReference(head, tuned, gain)


def _best(epochs: pd.DataFrame, objective: Objective) -> Leader | None:
    """The best value and where it was measured; of equal ones that of the first trial."""
    best = best_epochs(epochs, objective)
    if best.empty:
        return None
    score = objective.sign * best["value"]
    trial_id = min(best.index[score == score.max()])
    row = best.loc[trial_id]
    return Leader(str(trial_id), float(row["value"]), int(row["best_epoch"]))


def _place(leader: Leader) -> str:
    return f"{leader.trial_id}, epoch {leader.epoch}"
