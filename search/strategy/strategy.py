"""The search strategy: which configuration to try next, and which trial goes on. Knows no Ray, files or clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

from toprung.search.strategy.early_stopping.asha import Decision, RungDecision, SuccessiveHalving
from toprung.search.strategy.early_stopping.rung_log import RungEvent, RungLog
from toprung.search.strategy.first_rung import FirstRung
from toprung.search.strategy.notes import Notes
from toprung.search.strategy.proposer import Proposer
from toprung.search.strategy.sampling.points import Point, Space
from toprung.search.strategy.sampling.samplers import locate_in_space
from toprung.search.strategy.settings import StrategySettings
from toprung.search.strategy.surrogate.evidence import Evidence
from toprung.search.strategy.trial_reason import trial_reason
from toprung.search.strategy.trials import (
    FROM_OUTSIDE,
    FROM_TABLES,
    Proposal,
    TrialRecord,
    Trials,
    TrialState,
    in_order,
)
from toprung.search.strategy.warm_start import WarmStart
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import number_of, trial_id

__all__ = ["Decision", "Proposal", "RungDecision", "RungEvent", "Strategy", "TrialRecord"]


class Strategy:
    """Asynchronous successive halving over proposals from a model of the rungs.

    Proposal i is a function of the seed, of i and of the reports and outcomes so far, so that a strategy rebuilt by
    `replay` goes on exactly as an unbroken one would. A report costs O(log n).

    Attributes:
        objectives: What is optimized; higher scores are better.
        is_space_used_up: Whether every configuration that the space holds was proposed.
        weighs_time: Whether improvement is weighed against time; off, equal values give equal proposals at any speed.
        max_trials: Configurations to propose at most; None sets no limit.
    """

    def __init__(
        self,
        proposer: Proposer,
        halving: SuccessiveHalving,
        warm_start: WarmStart,
        objectives: Objectives,
        max_trials: int | None,
    ) -> None:
        self.objectives = objectives
        self.weighs_time = True
        self._proposer = proposer
        self._halving = halving
        self._rung_log = RungLog(halving)
        self._warm_start = warm_start
        self.max_trials = max_trials
        self._trials = Trials(objectives.bounds)
        self._notes = Notes(is_weighted=bool(objectives.secondary))
        self._first_rung = FirstRung(halving, self._notes)
        self.is_space_used_up = False

    @classmethod
    def for_space(cls, space: Space, max_epochs: int, seed: int, mode: str = "max", **settings: Any) -> Self:
        """The default strategy for a define-by-run `space(trial) -> dict`; no setting is needed.

        Args:
            space: Calls `trial.suggest_*` and returns a flat configuration.
            max_epochs: Epochs of a full training.
            seed: Of the proposals.
            mode: "max" or "min", the better direction of the metric.
            settings: Other fields of `StrategySettings`.

        Raises:
            TypeError: A setting is unknown.
            InputError: With every setting that is not allowed.
        """
        chosen = StrategySettings.of(max_epochs, mode, settings)
        return cls(
            Proposer.for_space(space, seed, chosen),
            chosen.new_halving(),
            WarmStart(space, chosen.new_halving(), chosen.optimized),
            chosen.optimized,
            chosen.max_trials,
        )

    def warm_start(self, reports: Iterable[EpochReport], trials: Iterable[TrialRecord]) -> int:
        """Take an earlier run, of the same or a changed space, as evidence.

        To be called before the first proposal and before `replay`. Its rungs become the lowest levels of the model,
        and are left out as soon as their predictions do not agree with the results of this run (see `notes`). Returns
        how many of its trials the space allows.
        """
        allowed = self._warm_start.add(reports, trials)
        self._trials.points.update(self._warm_start.points)
        return allowed

    @property
    def rung_epochs(self) -> tuple[int, ...]:
        """The epochs at which trials are compared, the last being the full training."""
        return tuple(rung.epoch for rung in self._halving.rungs)

    @property
    def running(self) -> frozenset[str]:
        """Trials that are neither ended nor paused."""
        return frozenset(map(trial_id, self._running))

    @property
    def paused(self) -> frozenset[str]:
        """Trials that wait at a rung for a promotion (promotion variant only)."""
        return frozenset(map(trial_id, self._halving.paused))

    @property
    def exhausted(self) -> bool:
        """Whether there will be no further proposal, whatever the running trials report."""
        return self._has_proposed_all and not self._running and self._promotable() is None

    @property
    def unstarted(self) -> float:
        """How many trials may start from now on: those not proposed yet, infinite without a limit, and a promotion."""
        if self._has_proposed_all:
            return float(self._promotable() is not None)
        return math.inf if self.max_trials is None else self.max_trials - self._trials.next_number

    @property
    def may_propose_later(self) -> bool:
        """Whether there may be a proposal once running trials have reported, though there is none now."""
        return self._halving.pauses and bool(self._running)

    def rung_of(self, trial_id: str) -> int:
        """The highest rung the trial has reached, in epochs; 0 when none."""
        return self._halving.reached(number_of(trial_id))

    def ask(self) -> Proposal | None:
        """The next trial to start or resume; None when there is nothing to propose now."""
        resumed = self.resume()
        if resumed is not None:
            return Proposal(resumed, self._trials[number_of(resumed)].config)
        if self._has_proposed_all:
            return None
        number = self._trials.next_number
        proposed = self._proposer.propose(number, self._evidence(), self._trials.config_keys)
        if self._proposer.model.prior_note:
            self._notes.add_prior(self._proposer.model.prior_note)
        if proposed is None:
            self.is_space_used_up = True
            return None
        self._trials.add(number, proposed.point.config, proposed.point, proposed.origin)
        return Proposal(trial_id(number), proposed.point.config)

    def resume(self) -> str | None:
        """The paused trial to resume now; None when there is none (promotion variant only)."""
        promoted = self._promotable()
        if promoted is None:
            return None
        self._halving.paused.discard(promoted)
        return trial_id(promoted)

    def take(self, params: Mapping[str, Any]) -> Proposal:
        """Take in a trial that somebody else chose, as if it were proposed; parameters left out are drawn."""
        number = self._trials.next_number
        point = self._proposer.completed(number, params)
        self._trials.add(number, point.config, point, FROM_OUTSIDE)
        return Proposal(trial_id(number), point.config)

    def point(self, trial_id: str) -> Point | None:
        """The parameters of a trial and their distributions; None where the space does not allow the trial."""
        return self._trials.points.get(number_of(trial_id))

    def prepare(self) -> None:
        """Compute ahead, while no worker waits, what the next proposal would begin with; changes no proposal."""
        self._proposer.prepare(self._evidence())

    def report(self, report: EpochReport) -> Decision:
        """Take in one epoch of a trial; a repeated report changes nothing and gives the same decision.

        A non-finite metric ends the trial as DIVERGED before any model sees it.

        Raises:
            KeyError: The trial was never proposed, or the report lacks an objective.
        """
        number = number_of(report.trial_id)
        trial = self._trials[number]
        if trial.outcome is None and report.epoch > trial.epoch:
            score = self.objectives.score(report.metrics) if report.is_finite else None
            keeps_bounds = self.objectives.bounds.are_kept(report.metrics)
            self._trials.record(number, report)
            self._rung_log.reported(number, report.epoch)
            if score is None:
                self._end(number, Outcome.DIVERGED)
            elif decision := self._halving.report(number, report.epoch, score, keeps_bounds):
                trial.last_decision = decision
                self._act_on(number, decision)
                self._rung_log.add(number, report.epoch, decision)
            self._trials.bounded.add(number, report.metrics, self._halving.reached(number))
        return self._decision_for(number, trial)

    def measured(self, trial_id: str, measures: Mapping[str, float]) -> None:
        """Take in bounded metrics of a trial's model, for a trial that may end before it reports them."""
        self._trials.bounded.add(number_of(trial_id), measures)

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        """Record how a trial ended, unless its reports already decided that."""
        number = number_of(trial_id)
        if self._trials[number].outcome is None:
            self._end(number, outcome)

    def replay(self, reports: Iterable[EpochReport], trials: Iterable[TrialRecord]) -> dict[str, Outcome]:
        """Rebuild the state from the tables of an interrupted run.

        A trial whose end is neither recorded nor decided by its reports counts as running (or as paused): continue it
        under its id without a proposal. A promotion that had led to no report yet is decided again.

        Args:
            reports: In order of arrival.
            trials: In any order.

        Returns:
            The outcomes of trials recorded as unfinished whose reports had already decided their end.
        """
        records = sorted(trials, key=lambda record: number_of(record.trial_id))
        for record in records:
            point = locate_in_space(self._proposer.space, record.config, record.suggested)
            config = dict(record.config) if point is None else point.config
            self._trials.add(number_of(record.trial_id), config, point, FROM_TABLES)
        for fact in in_order(reports, records):
            if isinstance(fact, EpochReport):
                self.report(fact)
            else:
                self.measured(fact.trial_id, fact.measures)
                self.finish(fact.trial_id, fact.outcome)
        self.prepare()
        unfinished = (record.trial_id for record in records if record.outcome is None)
        return {name: outcome for name in unfinished if (outcome := self.state(name).outcome) is not None}

    def pareto_front(self) -> list[str]:
        """With several objectives, the trials that no other dominates at the highest rung that has results."""
        return list(map(trial_id, self._halving.front())) if self.objectives.secondary else []

    def notes(self) -> list[str]:
        """Lines for the log on what the search found out about itself, oldest first."""
        return list(self._notes.lines)

    def suggested(self, trial_id: str) -> dict[str, Any]:
        """The parameters of a trial that its configuration does not hold under their name; `replay` needs them."""
        point = self.point(trial_id)
        return {} if point is None else point.params_outside_config

    def reason(self, trial_id: str) -> str:
        """One line: why the trial was cut or has failed, else why it was proposed."""
        return trial_reason(self.objectives, self.state(trial_id), self._halving.reduction_factor)

    def state(self, trial_id: str) -> TrialState:
        """How far the trial has come, where its configuration came from, and the last decision about it."""
        return self._trials[number_of(trial_id)]

    def parameters_of(self, trial_id: str) -> frozenset[str]:
        """The parameters that the space suggests for the trial: those that are active in it."""
        point = self._trials.points.get(number_of(trial_id))
        return frozenset() if point is None else frozenset(point.params)

    def rung_events(self, since: int = 0) -> list[RungEvent]:
        """Every decision at a rung in order, those of a replay included, without the first `since`."""
        return self._rung_log.events[since:]

    def _act_on(self, number: int, decision: RungDecision) -> None:
        if decision.arrived:
            self._first_rung.update(decision.rung)
        if decision.decision is Decision.STOP:
            self._end(number, Outcome.STOPPED)
        elif decision.rung == self._halving.rungs[-1].epoch:
            self._end(number, Outcome.COMPLETED)

    def _end(self, number: int, outcome: Outcome) -> None:
        self._trials.end(number, outcome)
        self._halving.paused.discard(number)
        if not outcome.may_win:
            # A training that cannot be finished shows nothing by its early scores, and must cut no healthy one.
            self._halving.forget(number)
            self._rung_log.remove(number)

    def _decision_for(self, number: int, trial: TrialState) -> Decision:
        if trial.outcome is None:
            return Decision.PAUSE if number in self._halving.paused else Decision.KEEP
        return Decision.KEEP if trial.outcome is Outcome.COMPLETED else Decision.STOP

    def _evidence(self) -> Evidence:
        return Evidence(
            rungs=self._halving.rungs,
            prior=self._warm_start.rungs,
            first_rung=self._halving.first_rung,
            points=self._trials.points,
            running=self._running,
            failed=self._trials.failed,
            epoch_secs=self._trials.epoch_secs if self.weighs_time else {},
            explained=self._first_rung.explained,
            bounded=self._trials.bounded.known(),
        )

    @property
    def _running(self) -> set[int]:
        return self._trials.open - self._halving.paused

    @property
    def _has_proposed_all(self) -> bool:
        at_limit = self.max_trials is not None and self._trials.next_number >= self.max_trials
        return self.is_space_used_up or at_limit

    def _promotable(self) -> int | None:
        """The paused trial to resume; where all pause and none was fully trained, the best, to be trained alone."""
        promoted = self._halving.promotable()
        if promoted is None and self._has_proposed_all and not self._running:
            return self._halving.best_paused()
        return promoted
