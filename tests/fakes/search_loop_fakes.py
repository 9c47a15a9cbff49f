"""The two ends that the driver's tests put in place of real ones: a search loop of few trials, and its observer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from toprung.search.loop.trial_state import ActiveTrial, TrialEnd
from toprung.search.strategy.strategy import Decision
from toprung.trainables.trial.messages import EpochResult, TrialStart, Worker
from toprung.trainables.trial.report import EpochReport, Outcome


@dataclass
class RecordedFacts:
    """An observer that keeps what it is told."""

    proposed_ids: list[str] = field(default_factory=list)
    reports: list[EpochReport] = field(default_factory=list)
    ends: dict[str, TrialEnd] = field(default_factory=dict)
    configs: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, ActiveTrial] = field(default_factory=dict)

    def proposed(self, start: TrialStart, reason: str) -> None:
        assert reason
        self.proposed_ids.append(start.trial_id)
        self.configs[start.trial_id] = start.config

    def reported(self, trial: ActiveTrial, report: EpochReport, decision: Decision) -> None:
        self.reports.append(report)

    def ended(self, trial: ActiveTrial, end: TrialEnd) -> None:
        assert trial.trial_id not in self.ends, "a trial ends once"
        self.trials[trial.trial_id] = trial
        self.ends[trial.trial_id] = end

    def catch_up(self) -> None:
        """Nothing was put off."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {trial_id: end.outcome for trial_id, end in self.ends.items()}


class FakeLoop:
    """A search loop that has `count` trials and stops each at epoch `epochs`."""

    def __init__(self, count: int, epochs: int = 1) -> None:
        self.left, self.epochs = count, epochs
        self.proposed, self.prepared, self.caught_up = 0, 0, 0
        self.begun: list[int] = []
        self.active: set[str] = set()
        self.lost_trials: list[str] = []
        self.limit_reached, self.has_paused, self.continues = False, False, False
        self.preempted_trials: list[str] = []
        self.waited_secs: dict[str, float] = {}
        self.failures: dict[str, EpochResult] = {}

    @property
    def finished(self) -> bool:
        return self.limit_reached or not (self.left or self.active or self.has_paused)

    @property
    def startable(self) -> float:
        return 0 if self.limit_reached else self.left

    @property
    def may_start_later(self) -> bool:
        return not self.finished and self.has_paused

    def prepare(self) -> None:
        self.prepared += 1

    def begin(self, start: TrialStart) -> TrialStart:
        assert start.trial_id in self.active
        self.begun.append(start.number)
        return start

    def next_trial(self) -> TrialStart | None:
        start = self.propose()
        if start is not None:
            self.begin(start)
        return start

    def propose(self) -> TrialStart | None:
        if self.left == 0:
            return None
        self.left -= 1
        self.proposed += 1
        start = TrialStart(f"t{self.proposed - 1:05d}", self.proposed - 1, 0, {})
        self.active.add(start.trial_id)
        return start

    def report(self, trial_id: str, result: EpochResult, worker: Worker) -> Decision:
        if result.failure is not None:
            self.failures[trial_id] = result
            self.active.discard(trial_id)
            return Decision.STOP
        assert result.report is not None
        if result.report.epoch < self.epochs:
            return Decision.KEEP
        self.active.discard(trial_id)
        return Decision.STOP

    def catch_up(self) -> None:
        self.caught_up += 1

    def preempt(self, trial_id: str) -> None:
        self.preempted_trials.append(trial_id)

    def wait(self, trial_id: str, secs: float) -> None:
        self.waited_secs[trial_id] = secs

    def lose(self, trial_id: str, error: str) -> None:
        self.active.discard(trial_id)
        self.lost_trials.append(trial_id)


@pytest.fixture
def recorded_facts() -> type[RecordedFacts]:
    """An observer of a search loop that keeps what it is told."""
    return RecordedFacts


@pytest.fixture
def fake_loop() -> type[FakeLoop]:
    """A search loop without a strategy, for those who only take trials from it."""
    return FakeLoop
