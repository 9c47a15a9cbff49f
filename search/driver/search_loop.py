"""The search itself, without Ray: asks the strategy, takes the workers' results, records every fact."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import replace
from itertools import dropwhile
from typing import TYPE_CHECKING, Protocol

from toprung.search.driver.budgets import BudgetLimits, BudgetUsage
from toprung.search.driver.trial_state import ActiveTrial
from toprung.search.strategy.strategy import Decision, Strategy
from toprung.trainables.trial.messages import EpochResult, TrialStart, Worker
from toprung.trainables.trial.patience import patience_stop_reason
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ABORT_AFTER_FAILURES = 5


class Observer(Protocol):
    """Who is told the facts of a search, in the order they happen; must return at once."""

    def proposed(self, start: TrialStart, why: str) -> None:
        """A configuration was drawn."""

    def reported(self, report: EpochReport, decision: Decision) -> None:
        """An epoch was measured, for the first time."""

    def ended(self, trial: ActiveTrial, outcome: Outcome, reason: str, error: str) -> None:
        """A trial is over."""


class SearchLoop:
    """Joins one `Strategy` with whoever runs the trials.

    `unfinished` are trials of an earlier driver with their reports, to go on with before anything is proposed, but
    for those `settled`: their reports had decided their end, which `spent` counts already. `clock` gives seconds, from
    any origin.
    """

    def __init__(
        self,
        strategy: Strategy,
        observer: Observer,
        *,
        metric: str,
        mode: str,
        max_epochs: int,
        seed: int,
        limits: BudgetLimits,
        gpus: float = 0.0,
        spent: BudgetUsage | None = None,
        unfinished: Sequence[ActiveTrial] = (),
        settled: Iterable[str] = (),
        outcomes: Mapping[Outcome, int] | None = None,
        leader: tuple[str, int, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._strategy = strategy
        self._observer = observer
        self._metric, self._mode, self._max_epochs = metric, mode, max_epochs
        self._seed, self._gpus, self._clock, self.limits = seed, gpus, clock, limits
        self._spent = BudgetUsage()
        self._began = clock()
        self._open = {trial.start.trial_id: trial for trial in unfinished}
        self._unbegun: set[str] = set()
        self._failures_in_a_row = 0
        self.leader = leader
        self.outcomes: Counter[Outcome] = Counter(outcomes or {})
        self.stop_reason: str | None = None
        self.abort_reason: str | None = None
        for trial in [self._open[trial_id] for trial_id in settled]:
            self._act_on(trial, trial.reports[-1], strategy.report(trial.reports[-1]))
        self._spent = spent or BudgetUsage()
        self._waiting = deque(t for name, t in self._open.items() if name not in strategy.paused)

    @property
    def finished(self) -> bool:
        """Whether no further trial will be started."""
        if self.abort_reason:
            return True
        return not self._waiting and (self.stop_reason is not None or self._strategy.exhausted)

    @property
    def spent(self) -> BudgetUsage:
        """What the run has used, earlier drivers of it counted in, wall-clock of this one alone."""
        return replace(self._spent, wall_clock_hours=(self._clock() - self._began) / 3600)

    @property
    def ending(self) -> str | None:
        """Why no trial is proposed any more though there may be some left; None while there is no such reason."""
        return self.stop_reason or self.limits.reached(self.spent)

    @property
    def running(self) -> int:
        """Trials that were started and have not ended."""
        return len(self._open) - len(self._waiting) - len(self._unbegun)

    def notes(self) -> list[str]:
        """What the strategy found out about this search, a line each, oldest first."""
        return self._strategy.notes()

    def next_trial(self) -> TrialStart | None:
        """The trial that starts now: one an earlier driver left unfinished, else a new proposal, else None."""
        start = self.propose()
        if start is not None:
            self.begin(start)
        return start

    def propose(self) -> TrialStart | None:
        """As `next_trial`, for a trial that starts later, if at all: one that never begins leaves no trace."""
        if self._waiting:
            return self._waiting.popleft().start
        if self.finished or self._limit_reached():
            return None
        proposal = self._strategy.ask()
        if proposal is None:
            return None
        return self._opened(proposal.trial_id, proposal.config)

    def prepare(self) -> None:
        """Do ahead what the next proposal begins with; call while no worker waits."""
        if not self.finished:
            self._strategy.prepare()

    def begin(self, start: TrialStart) -> None:
        """A trial that was proposed starts now."""
        if start.trial_id in self._unbegun:
            self._unbegun.remove(start.trial_id)
            self._observer.proposed(start, self._strategy.reason(start.trial_id))

    def report(self, trial_id: str, result: EpochResult, worker: Worker | None = None) -> Decision:
        """Take one result of a worker and say whether its trial goes on."""
        trial = self._open.get(trial_id)
        if trial is None:
            return Decision.STOP
        trial.worker = worker or trial.worker
        trial.costs += result.costs
        trial.failed_allocation_bytes = result.failed_allocation_bytes or trial.failed_allocation_bytes
        trial.computed = result.computed or trial.computed
        trial.parameter_count = result.parameter_count or trial.parameter_count
        for report in (*result.history, *([result.report] if result.report else [])):
            decision = self._take(trial, report)
            if decision is not Decision.KEEP:
                return decision
        if result.failure is not None:
            self._end(trial, result.failure, last_exception_line(result.error), result.error)
            return Decision.STOP
        return Decision.KEEP

    def lost(self, trial_id: str, error: str) -> None:
        """A worker died and its retries are used up."""
        trial = self._open.get(trial_id)
        if trial is not None:
            self._end(trial, Outcome.PREEMPTED, "its worker died and the retries are used up", error)

    def close(self) -> None:
        """End what was paused and never promoted; call when the search is over, not when it is interrupted."""
        for trial in [trial for name, trial in self._open.items() if name not in self._unbegun]:
            paused = f"paused at epoch {trial.last_epoch}, never promoted"
            unused = f"never started: {self.stop_reason or 'the search was over'}"
            self._end(trial, Outcome.STOPPED, paused if trial.reports else unused)

    def _opened(self, trial_id: str, config: Mapping[str, object]) -> TrialStart:
        paused = self._open.get(trial_id)
        if paused is not None:
            return paused.start
        number = int(trial_id[1:])
        start = TrialStart(trial_id, number, trial_seed(self._seed, number), dict(config))
        self._open[trial_id] = ActiveTrial(start)
        self._unbegun.add(trial_id)
        return start

    def _take(self, trial: ActiveTrial, report: EpochReport) -> Decision:
        decision = self._strategy.report(report)
        if report.epoch > trial.last_epoch:
            self._count(trial, report)
            self._observer.reported(report, decision)
        return self._act_on(trial, report, decision)

    def _act_on(self, trial: ActiveTrial, report: EpochReport, decision: Decision) -> Decision:
        trial_id = trial.start.trial_id
        if not report.is_finite:
            self._end(trial, Outcome.DIVERGED, f"epoch {report.epoch} reported a value that is not finite")
        elif decision is Decision.STOP:
            self._end(trial, Outcome.STOPPED, self._strategy.reason(trial_id))
        elif report.epoch >= self._max_epochs:
            self._end(trial, Outcome.COMPLETED, f"trained all {self._max_epochs} epochs")
        elif reason := self._lost_patience(trial):
            self._end(trial, Outcome.STOPPED, reason)
        elif decision is Decision.KEEP and self._limit_reached() and not self._nearly_done(report):
            self._end(trial, Outcome.STOPPED, str(self.stop_reason))
        else:
            return decision
        return Decision.STOP

    def _lost_patience(self, trial: ActiveTrial) -> str | None:
        first_rung = self._strategy.rung_epochs[0]
        return patience_stop_reason(trial.reports, trial.start.config, self._metric, self._mode, first_rung)

    def _count(self, trial: ActiveTrial, report: EpochReport) -> None:
        trial.reports.append(report)
        best, since = self._spent.best, self._spent.trials_since_best
        value = report.metrics.get(self._metric)
        if report.is_finite and value is not None and (math.isnan(best) or self._better(value, best)):
            best, since = value, 0
            self.leader = (report.trial_id, report.epoch, value)
        self._spent = replace(
            self._spent,
            epochs=self._spent.epochs + 1,
            gpu_hours=self._spent.gpu_hours + report.epoch_secs * self._gpus / 3600,
            best=best,
            trials_since_best=since,
        )

    def _end(self, trial: ActiveTrial, outcome: Outcome, reason: str, error: str = "") -> None:
        trial_id = trial.start.trial_id
        del self._open[trial_id]
        self._strategy.finish(trial_id, outcome)
        self.outcomes[outcome] += 1
        self._observer.ended(trial, outcome, reason, error)
        if self.leader is None or trial_id != self.leader[0]:
            self._spent = replace(self._spent, trials_since_best=self._spent.trials_since_best + 1)
        self._abort_if_nothing_works(outcome, reason)

    def _abort_if_nothing_works(self, outcome: Outcome, reason: str) -> None:
        """A search whose first trials all raise has a fault that no other configuration mends."""
        self._failures_in_a_row = self._failures_in_a_row + 1 if outcome is Outcome.FAILED else 0
        if self._failures_in_a_row >= ABORT_AFTER_FAILURES and self._spent.epochs == 0:
            self.abort_reason = (
                f"the first {self._failures_in_a_row} trials all failed, the last with: {reason}"
            )

    def _limit_reached(self) -> bool:
        self.stop_reason = self.stop_reason or self.limits.reached(self.spent)
        return self.stop_reason is not None

    def _nearly_done(self, report: EpochReport) -> bool:
        """Within a tenth of the full training: ending it there would waste nine tenths to save one."""
        return (self._max_epochs - report.epoch) * 10 <= self._max_epochs

    def _better(self, value: float, than: float) -> bool:
        return value > than if self._mode == "max" else value < than


def trial_seed(seed: int, number: int) -> int:
    """The seed of a trial's weights, shuffling and augmentation: distinct for each trial of a search."""
    return (seed * 1_000_003 + number) % 2**31


def last_exception_line(error: str) -> str:
    """The exception at the end of a traceback, its type and whole message, on one line."""
    lines = error.rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    after = dropwhile(lambda line: line.startswith("  "), lines[frames[-1] :] if frames else [])
    # A traceback that was cut within its message has no frame left: its last line says most.
    return " ".join(" ".join(list(after) or lines[-1:]).split()) or "no message"
