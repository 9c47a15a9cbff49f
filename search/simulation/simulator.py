"""A simulated search: the strategy itself on virtual workers and a virtual clock, with known learning curves."""

from __future__ import annotations

import gc
import heapq
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from toprung.search.simulation.blackbox import Blackbox
from toprung.search.strategy.strategy import Decision, Proposal
from toprung.trainables.trial.bounds import Bounds
from toprung.trainables.trial.objectives import Objective, Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

BUILD_SHARE = 0.01  # of an epoch: what it takes to build a model that is not trained


class Policy(Protocol):
    """What is simulated: the Strategy, or any other searcher and scheduler with the same three methods.

    Two attributes are optional: `objectives` (what the reports should hold; val_accuracy otherwise), and `rung_epochs`
    (whose last is the length of a full training; that of the curves otherwise). Where the objectives have bounds there
    is a method `measured(trial_id, measures)` too, as of `BoundedPolicy`.
    """

    def ask(self) -> Proposal | None:
        """The next trial to start, or a paused one to resume; None when there is none now."""
        ...

    def report(self, report: EpochReport) -> Decision:
        """Take in one epoch of a trial."""
        ...

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        """Take in the end of a trial."""
        ...


class BoundedPolicy(Policy, Protocol):
    """A policy whose objectives have bounds."""

    def measured(self, trial_id: str, measures: Mapping[str, float]) -> None:
        """Take in what was measured of a trial's model."""
        ...


@dataclass(frozen=True)
class ClusterConditions:
    """What goes wrong on the virtual cluster, and what a start costs.

    Attributes:
        worker_startup_secs: Once for a worker: process start, imports, compilation.
        trial_startup_secs: Each time a trial starts or resumes.
        straggler_share: The share of trials that run slower.
        straggler_factor: How many times as long their epochs take.
        failure_share: The share of trials that fail, at a random epoch.
        objective: What the curves are of; None takes the policy's main objective, or val_accuracy.
        bounds: What the incumbent has to keep, where the blackbox has `measures`; None takes the policy's bounds, and
            trials that break these end before they train.
    """

    worker_startup_secs: float = 0.0
    trial_startup_secs: float = 0.0
    straggler_share: float = 0.0
    straggler_factor: float = 3.0
    failure_share: float = 0.0
    objective: Objective | None = None
    bounds: Bounds | None = None


class Incumbent(NamedTuple):
    """The best value so far, and the trial, epoch and moment (virtual seconds) it was reported at."""

    secs: float
    trial_id: str
    epoch: int
    value: float
    config: Mapping[str, Any]


@dataclass
class SimResult:
    """What a simulated search cost and found; seconds are virtual.

    Attributes:
        incumbents: Each better than the one before.
        outcomes: Of the trials that have ended, by id.
        trials: How many were started.
        epochs: How many were reported.
        busy_secs: Of all workers, added up.
        end_secs: The moment of the last report within the budget.
    """

    incumbents: list[Incumbent] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    trials: int = 0
    epochs: int = 0
    busy_secs: float = 0.0
    end_secs: float = 0.0

    def incumbent_at(self, secs: float) -> Incumbent | None:
        """The incumbent at a moment; None before the first report."""
        earlier = [incumbent for incumbent in self.incumbents if incumbent.secs <= secs]
        return earlier[-1] if earlier else None


@dataclass(slots=True)
class _Run:
    """A trial on the virtual cluster.

    Attributes:
        proposal: Its id and configuration.
        values: Of its epochs.
        elapsed: Seconds from its start to the end of each epoch, after a 0.
        fails_at: The epoch at which it fails; 0 when it does not.
        measures: What is measured of its model.
        epoch: The last one that has ended.
    """

    proposal: Proposal
    values: list[float]
    elapsed: list[float]
    fails_at: int
    measures: Mapping[str, float]
    epoch: int = 0


def simulate(
    strategy: Policy,
    blackbox: Blackbox,
    workers: int,
    budget_secs: float,
    seed: int = 0,
    conditions: ClusterConditions | None = None,
) -> SimResult:
    """Run a search until the budget is over or nothing is left to do; the same arguments give the same run.

    The incumbent is the trial with the best value reported so far, at whatever epoch: the same rule for every policy,
    and what "best trial" means in Ray Tune and Optuna.

    Args:
        strategy: What is simulated; it is used up.
        blackbox: The learning curves; a NaN is a divergence.
        workers: How many trials run at once.
        budget_secs: Virtual wall-clock seconds; later reports do not count.
        seed: Draws the stragglers and failures, and nothing else.
        conditions: What goes wrong and what a start costs; nothing by default.
    """
    simulation = _Simulation(
        strategy, blackbox, workers, budget_secs, seed, conditions or ClusterConditions()
    )
    # All that is loaded outlives the simulation; collecting garbage among it would take a third of the time.
    gc.freeze()
    try:
        return simulation.run()
    finally:
        gc.unfreeze()


class _Simulation:
    def __init__(
        self,
        policy: Policy,
        blackbox: Blackbox,
        workers: int,
        budget_secs: float,
        seed: int,
        conditions: ClusterConditions,
    ) -> None:
        self._policy = policy
        self._blackbox = blackbox
        self._budget_secs = budget_secs
        self._seed = seed
        self._conditions = conditions
        self._objective = conditions.objective or _objective_of(policy)
        objectives: Objectives | None = getattr(policy, "objectives", None)
        self._enforced = objectives.bounds if objectives else Bounds()
        self._bounds = self._enforced if conditions.bounds is None else conditions.bounds
        # The policy's full training may be shorter than the curves.
        self._max_epochs = getattr(policy, "rung_epochs", (blackbox.max_epochs,))[-1]
        self._events: list[tuple[float, int, _Run]] = []
        self._count = count()
        self._idle = deque([conditions.worker_startup_secs] * workers)
        self._runs: dict[str, _Run] = {}
        self._best_score = float("-inf")
        self.result = SimResult()

    def run(self) -> SimResult:
        self._fill(0.0)
        while self._events:
            now, _, run = heapq.heappop(self._events)
            if now > self._budget_secs:
                break
            self.result.end_secs = now
            if not self._epoch_done(now, run):
                self._idle.append(now)
            # After any report a promotion may be possible where there was nothing to propose before.
            if self._idle:
                self._fill(now)
        return self.result

    def _fill(self, now: float) -> None:
        while self._idle:
            proposal = self._policy.ask()
            if proposal is None:
                return
            starts = max(now, self._idle.popleft()) + self._conditions.trial_startup_secs
            self._schedule(starts, self._run_of(proposal))

    def _run_of(self, proposal: Proposal) -> _Run:
        run = self._runs.get(proposal.trial_id)
        if run is None:
            run = self._runs[proposal.trial_id] = self._new_run(proposal)
            self.result.trials += 1
        return run

    def _new_run(self, proposal: Proposal) -> _Run:
        values, elapsed = self._blackbox.curve(proposal.config)
        slowness, fails_at = self._luck(proposal.trial_id)
        used = np.asarray(values, dtype=float)[: self._max_epochs]
        ends = np.asarray(elapsed, dtype=float) * slowness
        measures = getattr(self._blackbox, "measures", None)
        measured = measures(proposal.config) if measures else {}
        return _Run(proposal, used.tolist(), [0.0, *ends.tolist()], fails_at, measured)

    def _luck(self, trial_id: str) -> tuple[float, int]:
        """How many times as long the trial's epochs take, and the epoch at which it fails (0: it does not)."""
        conditions = self._conditions
        if not conditions.straggler_share and not conditions.failure_share:
            return 1.0, 0
        # A generator for each trial, so that its luck does not depend on the order in which trials start.
        luck = random.Random(f"{self._seed}/{trial_id}")
        slow = luck.random() < conditions.straggler_share
        fails = luck.random() < conditions.failure_share
        fails_at = luck.randint(1, self._blackbox.max_epochs) if fails else 0
        return conditions.straggler_factor if slow else 1.0, fails_at

    def _schedule(self, now: float, run: _Run) -> None:
        secs = run.elapsed[run.epoch + 1] - run.elapsed[run.epoch]
        secs *= BUILD_SHARE if self._is_beyond(run) else 1.0
        self.result.busy_secs += secs
        heapq.heappush(self._events, (now + secs, next(self._count), run))

    def _epoch_done(self, now: float, run: _Run) -> bool:
        """Report the epoch that just ended; True when the trial goes on."""
        if self._is_beyond(run):
            return self._ended(run, Outcome.STOPPED)
        run.epoch = epoch = run.epoch + 1
        if epoch == run.fails_at:
            return self._ended(run, Outcome.FAILED)
        self.result.epochs += 1
        trial_id, value = run.proposal.trial_id, run.values[epoch - 1]
        score = self._objective.score(value)
        metrics = {self._objective.metric: value, **run.measures}
        if score > self._best_score and self._bounds.are_kept(metrics):
            self._best_score = score
            self.result.incumbents.append(Incumbent(now, trial_id, epoch, value, run.proposal.config))
        ended, epoch_secs = run.elapsed[epoch], run.elapsed[epoch] - run.elapsed[epoch - 1]
        report = EpochReport(trial_id, epoch, metrics, epoch_secs, ended)
        decision = self._policy.report(report)
        if decision is Decision.STOP:
            return self._ended(run, Outcome.STOPPED if value == value else Outcome.DIVERGED)
        if epoch == len(run.values):
            return self._ended(run, Outcome.COMPLETED)
        if decision is Decision.PAUSE:
            return False
        self._schedule(now, run)
        return True

    def _is_beyond(self, run: _Run) -> bool:
        """Whether the trial's model breaks a bound of the policy, so that it is built and not trained."""
        return self._enforced.violation(run.measures) > 0.0

    def _ended(self, run: _Run, outcome: Outcome) -> bool:
        if self._enforced:
            cast(BoundedPolicy, self._policy).measured(run.proposal.trial_id, run.measures)
        self._policy.finish(run.proposal.trial_id, outcome)
        self.result.outcomes[run.proposal.trial_id] = outcome
        return False


def _objective_of(policy: Policy) -> Objective:
    objectives: Objectives | None = getattr(policy, "objectives", None)
    return objectives.main if objectives else Objective("val_accuracy", "max")
