"""A search on virtual workers and a virtual clock: the Strategy itself, fed with known learning curves."""

from __future__ import annotations

import gc
import heapq
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, Protocol

import numpy as np

from toprung.search.simulation.blackbox import Blackbox
from toprung.search.strategy.strategy import Decision, Proposal
from toprung.trainables.trial.report import EpochReport, Outcome


class Policy(Protocol):
    """What is simulated: the Strategy, or any other searcher and scheduler behind the same three calls."""

    def ask(self) -> Proposal | None:
        """The next trial to start, or a paused one to resume; None when there is none now."""
        ...

    def report(self, report: EpochReport) -> Decision:
        """Take in one epoch of a trial."""
        ...

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        """Take in the end of a trial."""
        ...


@dataclass(frozen=True)
class ClusterConditions:
    """What goes wrong on the virtual cluster, and what it costs to begin."""

    worker_startup_secs: float = 0.0  # once per worker: process start, imports, tracing
    trial_startup_secs: float = 0.0  # every time a trial starts or resumes
    straggler_share: float = 0.0  # share of trials that run slower
    straggler_factor: float = 3.0  # by how much
    failure_share: float = 0.0  # share of trials that fail at a random epoch
    metric: str | None = None  # what the curves are of; None: what the policy searches for, or val_accuracy
    mode: str | None = None  # None: the policy's own, or max


class Incumbent(NamedTuple):
    """The best value seen so far and whose it was."""

    secs: float
    trial_id: str
    epoch: int
    value: float
    config: Mapping[str, Any]


@dataclass
class SimResult:
    """What a simulated search cost and found; seconds are virtual."""

    incumbents: list[Incumbent] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    trials: int = 0
    epochs: int = 0
    busy_secs: float = 0.0
    end_secs: float = 0.0

    def incumbent_at(self, secs: float) -> Incumbent | None:
        """The incumbent at a moment; None before the first report."""
        held = [incumbent for incumbent in self.incumbents if incumbent.secs <= secs]
        return held[-1] if held else None


@dataclass(slots=True)
class _Run:
    """A trial on the virtual cluster: the values of its epochs, and when each ends, the first after elapsed[0] = 0."""

    proposal: Proposal
    values: list[float]
    elapsed: list[float]
    fails_at: int  # the epoch at which it fails; 0 when it does not
    epoch: int = 0


def simulate(
    strategy: Policy,
    blackbox: Blackbox,
    workers: int,
    budget_secs: float,
    seed: int = 0,
    conditions: ClusterConditions | None = None,
) -> SimResult:
    """Run a search until the budget is over or nothing is left to do.

    `budget_secs` is virtual wall-clock time; reports after it do not count. Events are ordered by (time, count), so
    the same arguments give the same run; `seed` draws stragglers and failures only. The incumbent is the trial with
    the best value reported so far, at whatever epoch: the same rule for every policy, and the one that "best trial"
    means in Ray Tune and Optuna.
    """
    simulation = _Simulation(
        strategy, blackbox, workers, budget_secs, seed, conditions or ClusterConditions()
    )
    # What is loaded by now outlives the simulation: walking it again and again would take a third of the time.
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
        metric, mode = getattr(policy, "searched_for", ("val_accuracy", "max"))
        self._metric: str = conditions.metric or metric
        self._sign = 1.0 if (conditions.mode or mode) == "max" else -1.0
        # A policy that compares trials at nine epochs trains none longer, whatever the blackbox knows.
        self._max_epochs = getattr(policy, "rung_epochs", (blackbox.max_epochs,))[-1]
        self._events: list[tuple[float, int, _Run]] = []
        self._count = count()
        self._idle = deque([conditions.worker_startup_secs] * workers)
        self._runs: dict[str, _Run] = {}
        self._best = float("-inf")
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
            # An ask that came back empty may be worth repeating after any report (a promotion).
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
        known, ends = np.asarray(values, dtype=float), np.asarray(elapsed, dtype=float) * slowness
        return _Run(proposal, known[: self._max_epochs].tolist(), [0.0, *ends.tolist()], fails_at)

    def _luck(self, trial_id: str) -> tuple[float, int]:
        conditions = self._conditions
        if not conditions.straggler_share and not conditions.failure_share:
            return 1.0, 0
        # A generator per trial: its luck does not depend on the order in which trials start.
        luck = random.Random(f"{self._seed}/{trial_id}")
        slow = luck.random() < conditions.straggler_share
        fails = luck.random() < conditions.failure_share
        fails_at = luck.randint(1, self._blackbox.max_epochs) if fails else 0
        return conditions.straggler_factor if slow else 1.0, fails_at

    def _schedule(self, now: float, run: _Run) -> None:
        secs = run.elapsed[run.epoch + 1] - run.elapsed[run.epoch]
        self.result.busy_secs += secs
        heapq.heappush(self._events, (now + secs, next(self._count), run))

    def _epoch_done(self, now: float, run: _Run) -> bool:
        """Report the epoch that just ended; True when the trial goes on."""
        run.epoch = epoch = run.epoch + 1
        if epoch == run.fails_at:
            return self._ended(run, Outcome.FAILED)
        self.result.epochs += 1
        trial_id, value = run.proposal.trial_id, run.values[epoch - 1]
        if value * self._sign > self._best:
            self._best = value * self._sign
            self.result.incumbents.append(Incumbent(now, trial_id, epoch, value, run.proposal.config))
        ended, epoch_secs = run.elapsed[epoch], run.elapsed[epoch] - run.elapsed[epoch - 1]
        report = EpochReport(trial_id, epoch, {self._metric: value}, epoch_secs, ended)
        decision = self._policy.report(report)
        if decision is Decision.STOP:
            return self._ended(run, Outcome.STOPPED if value == value else Outcome.DIVERGED)
        if epoch == len(run.values):
            return self._ended(run, Outcome.COMPLETED)
        if decision is Decision.PAUSE:
            return False
        self._schedule(now, run)
        return True

    def _ended(self, run: _Run, outcome: Outcome) -> bool:
        self._policy.finish(run.proposal.trial_id, outcome)
        self.result.outcomes[run.proposal.trial_id] = outcome
        return False
