"""The strategy as a search runs it, for the simulator: with the job's budgets and the patience of its trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.search.loop.budgets import BudgetLimits
from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.search.loop.trial_state import ActiveTrial, TrialEnd
from toprung.search.strategy.strategy import Decision, Proposal, Strategy
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job


class BudgetedPolicy:
    """A policy for the simulator: a job's strategy in its search loop.

    The budget of wall-clock hours is left out, as the simulator has a clock of its own.

    Args:
        job: Gives the objectives, the budgets and the seed.
        strategy: Of the job, before anything was tried.
        gpus: Of a trial, for the budget of GPU hours.
    """

    def __init__(self, job: Job, strategy: Strategy, gpus: float) -> None:
        search = job.search
        self.objectives, self.rung_epochs = strategy.objectives, strategy.rung_epochs
        budgets = search.budgets.model_copy(update={"wall_clock_hours": None})
        settings = LoopSettings(
            objective=search.optimized.main,
            max_epochs=search.max_epochs,
            seed=job.seed,
            limits=BudgetLimits(**budgets.model_dump()),
            gpus=gpus,
            bounds=strategy.objectives.bounds,
        )
        self._loop = SearchLoop(strategy, _NoObserver(), settings)

    def ask(self) -> Proposal | None:
        """The trial to start or to resume; None when there is none now."""
        start = self._loop.next_trial()
        return None if start is None else Proposal(start.trial_id, dict(start.config))

    def report(self, report: EpochReport) -> Decision:
        """Take in one epoch of a trial; after its last epoch it is completed, not stopped."""
        decision = self._loop.report(report.trial_id, EpochResult(report))
        completed = report.epoch >= self.rung_epochs[-1] and report.is_finite
        return Decision.KEEP if completed else decision

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        """Take in the end of a trial; one that its reports have ended already is ignored."""
        self._loop.report(trial_id, EpochResult(None, failure=outcome))


class _NoObserver:
    def proposed(self, start: TrialStart, reason: str) -> None:
        """Not recorded."""

    def reported(self, trial: ActiveTrial, report: EpochReport, decision: Decision) -> None:
        """Not recorded."""

    def ended(self, trial: ActiveTrial, end: TrialEnd) -> None:
        """Not recorded."""

    def catch_up(self) -> None:
        """Nothing was put off."""
