"""What a search loop keeps to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toprung.search.loop.budgets import BudgetLimits
from toprung.trainables.trial.bounds import Bounds

if TYPE_CHECKING:
    from toprung.trainables.trial.objectives import Objective
    from toprung.trainables.trial.report import EpochReport


@dataclass(frozen=True)
class LoopSettings:
    """What a search loop keeps to: `objective` picks the leader, of the trials that keep `bounds`.

    `gpus` is the share of a GPU that each trial has.
    """

    objective: Objective
    max_epochs: int
    seed: int = 0
    limits: BudgetLimits = field(default_factory=BudgetLimits)
    gpus: float = 0.0
    bounds: Bounds = field(default_factory=Bounds)

    def counts(self, report: EpochReport) -> bool:
        """Whether the objective's value in a report may be the best of the search."""
        has_value = report.is_finite and self.objective.metric in report.metrics
        return has_value and self.bounds.are_kept(report.metrics)
