"""The search without Ray: asks the strategy, takes in the workers' results, passes every fact to an observer."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from toprung.search.loop.budgets import BudgetUsage
from toprung.search.loop.epoch_pace import EpochPace
from toprung.search.loop.trial_state import ActiveTrial, Leader, ResumedState, TrialEnd
from toprung.search.strategy.strategy import Decision, Strategy
from toprung.trainables.trial.failures import last_exception_line
from toprung.trainables.trial.messages import EpochResult, TrialStart, Worker
from toprung.trainables.trial.patience import patience_stop_reason
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import SPACE_USED_UP, number_of
from toprung.trainables.trial.trial_seed import trial_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from toprung.search.loop.budgets import BudgetLimits
    from toprung.search.loop.loop_settings import LoopSettings

ABORT_AFTER_FAILURES = 5


class Observer(Protocol):
    """Receives the facts of a search in the order they happen."""

    def proposed(self, start: TrialStart, reason: str) -> None:
        """A proposed trial starts; `reason` says why it was proposed."""

    def reported(self, trial: ActiveTrial, report: EpochReport, decision: Decision) -> None:
        """An epoch of a trial was measured, for the first time."""

    def ended(self, trial: ActiveTrial, end: TrialEnd) -> None:
        """A trial has ended."""

    def catch_up(self) -> None:
        """No worker waits for its answer: do what was put off for that."""


class SearchLoop:
    """Joins one `Strategy` with the workers that run its trials."""

    def __init__(
        self,
        strategy: Strategy,
        observer: Observer,
        settings: LoopSettings,
        resumed: ResumedState | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a search, or continue one.

        Args:
            strategy: Decides; the reports of an earlier driver were replayed into it.
            observer: Receives what happens.
            settings: Objective, epochs and limits.
            resumed: The state that an earlier driver left. Its unfinished trials continue before anything is
                proposed; those already decided end now.
            clock: Gives seconds, from any origin.
        """
        resumed = resumed or ResumedState()
        self._strategy, self._observer, self._settings = strategy, observer, settings
        self._clock = clock
        self._started_secs = clock()
        self._usage = BudgetUsage()
        self._pace = EpochPace()
        self._active = {trial.trial_id: trial for trial in resumed.unfinished}
        self._not_begun: set[str] = set()
        self._failures_in_a_row = 0
        self.leader = resumed.leader
        self.outcomes: Counter[Outcome] = Counter(resumed.outcomes)
        self.preemptions = resumed.preemptions
        self.stop_reason: str | None = None
        """The limit that ended the search, once it was reached."""
        self.abort_reason: str | None = None
        """Why the search cannot succeed, once that is known."""
        for trial in [self._active[trial_id] for trial_id in resumed.already_decided]:
            self._act_on(trial, trial.reports[-1], strategy.report(trial.reports[-1]))
        self.catch_up()
        self._usage = resumed.usage
        unfinished = self._active.items()
        self._to_continue = deque(trial for name, trial in unfinished if name not in strategy.paused)

    @property
    def finished(self) -> bool:
        """Whether no further trial will be started."""
        if self.abort_reason:
            return True
        return not self._to_continue and (self.stop_reason is not None or self._strategy.exhausted)

    @property
    def continues(self) -> bool:
        """Whether trials that an earlier driver left are still to be continued."""
        return bool(self._to_continue)

    @property
    def startable(self) -> float:
        """How many trials may start from now on, promotions counted once; infinite without a limit on trials."""
        if self.abort_reason:
            return 0
        return len(self._to_continue) + (0 if self._is_limit_reached() else self._strategy.unstarted)

    @property
    def may_start_later(self) -> bool:
        """Whether trials that run now may lead to a start when none is possible now."""
        return not self.finished and self._strategy.may_propose_later

    @property
    def usage(self) -> BudgetUsage:
        """What the run has used: of earlier drivers all but the wall-clock hours."""
        return replace(self._usage, wall_clock_hours=(self._clock() - self._started_secs) / 3600)

    @property
    def metric(self) -> str:
        """The name of the metric that picks the leader."""
        return self._settings.objective.metric

    @property
    def limits(self) -> BudgetLimits:
        """What the search may use."""
        return self._settings.limits

    @property
    def reached_limit(self) -> str | None:
        """The limit for which no further trial is proposed; None while none is reached."""
        return self.stop_reason or self.limits.reached(self.usage, self._settings.objective)

    @property
    def used_up_reason(self) -> str | None:
        """That the space holds no further configuration, where this and not the number of trials ended the search."""
        if not self._strategy.is_space_used_up:
            return None
        return f"{SPACE_USED_UP}: its {sum(self.outcomes.values())} different configurations were tried"

    @property
    def running(self) -> int:
        """Trials that were started and have not ended."""
        return len(self._active) - len(self._to_continue) - len(self._not_begun)

    def notes(self) -> list[str]:
        """What the strategy found out about this search, a line each, oldest first."""
        return self._strategy.notes()

    def next_trial(self) -> TrialStart | None:
        """The trial that starts now: one that an earlier driver left, else a new proposal, else None."""
        start = self.propose()
        return None if start is None else self.begin(start)

    def propose(self) -> TrialStart | None:
        """As `next_trial`, for a trial that starts later, if at all: one that never begins leaves no trace."""
        if self._to_continue:
            return self._to_continue.popleft().start
        if self.finished or self._is_limit_reached():
            return None
        proposal = self._strategy.ask()
        if proposal is None:
            return None
        return self._open(proposal.trial_id, proposal.config)

    def prepare(self) -> None:
        """Do in advance what the next proposal begins with; call while no worker waits."""
        if not self.finished:
            self._strategy.prepare()

    def begin(self, start: TrialStart) -> TrialStart:
        """A trial that was proposed starts now; returns what its worker is told."""
        if start.trial_id in self._not_begun:
            self._not_begun.remove(start.trial_id)
            self._observer.proposed(start, self._strategy.reason(start.trial_id))
        return replace(start, epoch_limit=self._pace.limit(start.trial_id, self._trial_secs_left))

    def report(self, trial_id: str, result: EpochResult, worker: Worker | None = None) -> Decision:
        """Take in one result of a worker and decide whether its trial continues."""
        trial = self._active.get(trial_id)
        if trial is None:
            return Decision.STOP
        trial.worker = worker or trial.worker
        trial.add_measurements(result)
        for report in (*result.history, *([result.report] if result.report else [])):
            decision = self._take_in(trial, report)
            if decision is not Decision.KEEP:
                return decision
        if result.failure is not None:
            self._end(trial, result.failure, result.reason or last_exception_line(result.error), result.error)
            return Decision.STOP
        return Decision.KEEP

    def preempt(self, trial_id: str) -> None:
        """Count that a trial's node died under it."""
        if trial := self._active.get(trial_id):
            trial.preemptions += 1
            self.preemptions += 1

    def wait(self, trial_id: str, secs: float) -> None:
        """Count seconds for which a trial waited for a worker after its own one died."""
        if trial := self._active.get(trial_id):
            trial.wait_secs += secs

    def lose(self, trial_id: str, error: str) -> None:
        """End a trial whose worker died and whose retries are used up."""
        trial = self._active.get(trial_id)
        if trial is not None:
            self._end(trial, Outcome.PREEMPTED, "its worker died and the retries are used up", error)

    def close(self) -> None:
        """End the trials that were paused and never promoted; call when the search is over, not when interrupted."""
        for trial in [trial for name, trial in self._active.items() if name not in self._not_begun]:
            paused = f"paused at epoch {trial.last_epoch}, never promoted"
            unused = f"never started: {self.stop_reason or 'the search was over'}"
            self._end(trial, Outcome.STOPPED, paused if trial.reports else unused)
        self.catch_up()

    def catch_up(self) -> None:
        """Have the observer do what it put off; call after each answer to a worker."""
        self._observer.catch_up()

    def _open(self, trial_id: str, config: Mapping[str, object]) -> TrialStart:
        paused = self._active.get(trial_id)
        if paused is not None:
            return paused.start
        number = number_of(trial_id)
        start = TrialStart(trial_id, number, trial_seed(self._settings.seed, number), dict(config))
        self._active[trial_id] = ActiveTrial(start)
        self._not_begun.add(trial_id)
        return start

    def _take_in(self, trial: ActiveTrial, report: EpochReport) -> Decision:
        decision = self._strategy.report(report)
        if report.epoch > trial.last_epoch:
            self._count(trial, report)
            self._observer.reported(trial, report, decision)
        return self._act_on(trial, report, decision)

    def _act_on(self, trial: ActiveTrial, report: EpochReport, decision: Decision) -> Decision:
        max_epochs = self._settings.max_epochs
        if not report.is_finite:
            self._end(trial, Outcome.DIVERGED, f"epoch {report.epoch} reported a value that is not finite")
        elif decision is Decision.STOP:
            self._end(trial, Outcome.STOPPED, self._strategy.reason(trial.trial_id))
        elif report.epoch >= max_epochs:
            self._end(trial, Outcome.COMPLETED, f"trained all {max_epochs} epochs")
        elif (reason := self._patience_reason(trial)) or (reason := self._too_slow_reason(report)):
            self._end(trial, Outcome.STOPPED, reason)
        elif decision is Decision.KEEP and self._is_limit_reached() and not self._is_nearly_done(report):
            self._end(trial, Outcome.STOPPED, str(self.stop_reason))
        else:
            return decision
        return Decision.STOP

    def _patience_reason(self, trial: ActiveTrial) -> str | None:
        objective, first_rung = self._settings.objective, self._strategy.rung_epochs[0]
        return patience_stop_reason(trial.reports, trial.start.config, objective, first_rung)

    def _too_slow_reason(self, report: EpochReport) -> str | None:
        epochs_left = self._settings.max_epochs - report.epoch
        return self._pace.why_too_slow(report.trial_id, epochs_left, self._trial_secs_left)

    @property
    def _trial_secs_left(self) -> float:
        return self.limits.trial_secs_left(self.usage, self._settings.gpus)

    def _count(self, trial: ActiveTrial, report: EpochReport) -> None:
        trial.reports.append(report)
        self._pace.add(report.trial_id, report.epoch, report.epoch_secs)
        best, trials_since_best = self._usage.best, self._usage.trials_since_best
        objective = self._settings.objective
        value = report.metrics[objective.metric] if self._settings.counts(report) else math.nan
        if not math.isnan(value) and (math.isnan(best) or objective.is_better(value, best)):
            best, trials_since_best = value, 0
            self.leader = Leader(report.trial_id, report.epoch, value)
        self._usage = replace(
            self._usage,
            epochs=self._usage.epochs + 1,
            gpu_hours=self._usage.gpu_hours + report.epoch_secs * self._settings.gpus / 3600,
            best=best,
            trials_since_best=trials_since_best,
        )

    def _end(self, trial: ActiveTrial, outcome: Outcome, reason: str, error: str = "") -> None:
        trial_id = trial.trial_id
        del self._active[trial_id]
        self._strategy.measured(trial_id, trial.model_measures)
        self._strategy.finish(trial_id, outcome)
        self.outcomes[outcome] += 1
        # A rung may stop a trial at the epoch at which its patience runs out.
        is_out_of_patience = outcome is Outcome.STOPPED and self._patience_reason(trial) is not None
        trained_fully = outcome is Outcome.COMPLETED or is_out_of_patience
        self._observer.ended(trial, TrialEnd(outcome, reason, error, trained_fully))
        if self.leader is None or trial_id != self.leader.trial_id:
            self._usage = replace(self._usage, trials_since_best=self._usage.trials_since_best + 1)
        self._abort_if_nothing_works(outcome, reason)

    def _abort_if_nothing_works(self, outcome: Outcome, reason: str) -> None:
        """A search whose first trials all raise has a fault that no other configuration mends."""
        self._failures_in_a_row = self._failures_in_a_row + 1 if outcome is Outcome.FAILED else 0
        if self._failures_in_a_row >= ABORT_AFTER_FAILURES and self._usage.epochs == 0:
            self.abort_reason = (
                f"the first {self._failures_in_a_row} trials all failed, the last with: {reason}"
            )

    def _is_limit_reached(self) -> bool:
        self.stop_reason = self.reached_limit
        return self.stop_reason is not None

    def _is_nearly_done(self, report: EpochReport) -> bool:
        """Within a tenth of the full training: ending it there would waste nine tenths to save one."""
        return (self._settings.max_epochs - report.epoch) * 10 <= self._settings.max_epochs
