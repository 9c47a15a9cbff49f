"""What the process that trains the winner is sent, on this machine or on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toprung.results.analysis.winner import Winner
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.worker.retraining import RetrainPlan


@dataclass(frozen=True)
class WinnerTraining:
    """All that a process needs to train, save and test the winner, on this machine or on another.

    Attributes:
        folder: The run, under a path or URI that every node knows.
        run_name: The job's name.
        winner: What is trained.
        plan: How.
    """

    folder: RunFolder
    run_name: str
    winner: Winner
    plan: RetrainPlan

    @property
    def epochs(self) -> int:
        """The number of epochs to train."""
        return self.plan.trial.rules.max_epochs
