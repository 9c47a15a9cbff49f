"""The search strategy: which configuration next, and which trial goes on. Knows nothing of Ray, files or time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from toprung.search.strategy.early_stopping.asha import Decision, RungDecision, SuccessiveHalving, cut_line
from toprung.search.strategy.early_stopping.pareto import ParetoRung
from toprung.search.strategy.early_stopping.rung import Rung, rung_epochs
from toprung.search.strategy.early_stopping.rung_correlation import RungCorrelations
from toprung.search.strategy.proposer import Evidence, Proposer, config_key
from toprung.search.strategy.sampling.points import Point, Space
from toprung.search.strategy.sampling.samplers import DEFAULT, check_sampler, locate_in_space
from toprung.search.strategy.settings import check_initial, check_settings
from toprung.search.strategy.warm_start import TrialRecord, WarmStart
from toprung.trainables.trial.objectives import Objective, Objectives, Score
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import number_of, trial_id

__all__ = ["Decision", "Proposal", "Strategy", "TrialRecord", "trial_id"]


class Proposal(NamedTuple):
    """A trial to start, or in the promotion variant a paused one to resume under its own id."""

    trial_id: str
    config: dict[str, Any]


@dataclass
class _Trial:
    """What happened to one trial so far; its scores are in the ladder."""

    config: dict[str, Any]
    why: str
    epoch: int = -1
    outcome: Outcome | None = None
    verdict: RungDecision | None = None


class Strategy:
    """Asynchronous successive halving over proposals from one model per rung.

    Proposal i is a function of the seed, of i and of the reports and outcomes so far, so a strategy rebuilt by
    `replay` goes on exactly as an unbroken one would. A report costs O(log n).
    """

    def __init__(
        self,
        proposer: Proposer,
        ladder: SuccessiveHalving,
        earlier: WarmStart,
        objectives: Objectives,
        max_trials: int | None,
    ) -> None:
        self._proposer = proposer
        self._ladder = ladder
        self._rung_evidence = RungCorrelations(ladder.rungs)
        self._earlier = earlier
        self._objectives = objectives
        self._max_trials = max_trials
        self._trials: dict[int, _Trial] = {}
        self._points: dict[int, Point] = {}
        self._keys: set[str] = set()
        self._open: set[int] = set()
        self._failed: set[int] = set()
        self._epoch_secs: dict[int, float] = {}
        self._notes: list[str] = []
        self.weighs_time = True
        """Whether improvement is weighed against time; off, the same values give the same proposals at any speed."""
        self._next = 0
        self._used_up = False

    @classmethod
    def for_space(
        cls,
        space: Space,
        max_epochs: int,
        seed: int,
        mode: str = "max",
        *,
        metric: str = "val_accuracy",
        reduction_factor: int = 3,
        min_epochs: int = 1,
        sampler: str = DEFAULT,
        variant: str = "stop",
        max_trials: int | None = None,
        initial_configs: Sequence[Mapping[str, Any]] = (),
        objectives: Mapping[str, str] | None = None,
    ) -> Self:
        """The default strategy for a define-by-run `space(trial) -> dict`; no setting is needed.

        `min_epochs` is the lowest rung; `variant` is "stop" (the losers of a rung end) or "promote" (everyone pauses
        at a rung, the winners are resumed); `initial_configs` are proposed first, parameters they leave out are drawn
        at random; `objectives` are two or more metrics with max or min each, in place of `metric` and `mode`. Raises
        InputError with every setting that cannot be.
        """
        modes = dict(objectives or {metric: mode})
        check_settings(max_epochs, modes, reduction_factor, min_epochs, variant, max_trials)
        check_sampler(sampler)
        check_initial(space, initial_configs)
        epochs = rung_epochs(max_epochs, reduction_factor, min_epochs)
        optimized = Objectives(
            tuple(Objective(name, "min" if mode == "min" else "max") for name, mode in modes.items())
        )
        kind = ParetoRung if len(modes) > 1 else Rung
        return cls(
            Proposer(space, sampler, int(seed), tuple(initial_configs)),
            SuccessiveHalving(epochs, reduction_factor, variant == "promote", kind),
            WarmStart(space, SuccessiveHalving(epochs, rung_type=kind), optimized),
            optimized,
            max_trials,
        )

    def warm_start(self, reports: Iterable[EpochReport], trials: Iterable[TrialRecord]) -> int:
        """Take an earlier run, of the same or a changed space, as evidence; returns how many of its trials fit.

        To be called before the first proposal and before `replay`. Its rungs become the lowest levels of the model,
        and are left out as soon as what they predict does not agree with the results of this run (see `notes`).
        """
        fitting = self._earlier.add(reports, trials)
        self._points.update(self._earlier.points)
        return fitting

    @property
    def searched_for(self) -> tuple[str, str]:
        """The metric, of several objectives the first, and max or min."""
        return self._objectives.main.metric, self._objectives.main.mode

    @property
    def rung_epochs(self) -> tuple[int, ...]:
        """The epochs at which trials are compared, the last being the full training."""
        return tuple(rung.epoch for rung in self._ladder.rungs)

    @property
    def running(self) -> frozenset[str]:
        """Trials that are neither ended nor paused."""
        return frozenset(map(trial_id, self._running))

    @property
    def paused(self) -> frozenset[str]:
        """Trials that wait at a rung for a promotion (promotion variant only)."""
        return frozenset(map(trial_id, self._ladder.paused))

    @property
    def exhausted(self) -> bool:
        """Whether no proposal will come any more, whatever the running trials still report."""
        return self._nothing_new and not self._running and self._promotable() is None

    def rung_of(self, trial_id: str) -> int:
        """The highest rung the trial has reached, in epochs; 0 when none."""
        return self._ladder.reached(number_of(trial_id))

    def ask(self) -> Proposal | None:
        """The next trial to start or resume; None when there is nothing to propose now."""
        promoted = self._promotable()
        if promoted is not None:
            self._ladder.paused.discard(promoted)
            return Proposal(trial_id(promoted), self._trials[promoted].config)
        if self._nothing_new:
            return None
        proposed = self._proposer.propose(self._next, self._evidence(), self._keys)
        self._note_prior()
        if proposed is None:
            self._used_up = True
            return None
        point, why = proposed
        number = self._admit(self._next, point.config, point, why)
        return Proposal(trial_id(number), point.config)

    def prepare(self) -> None:
        """Do ahead, while nobody waits, what the next proposal would begin with; changes no proposal."""
        self._proposer.prepare(self._evidence())

    def report(self, report: EpochReport) -> Decision:
        """Take in one epoch of a trial; the decision is the same again when the report is repeated.

        A non-finite metric ends the trial as DIVERGED before any model sees it. Raises KeyError when the trial was
        never proposed or the report lacks the metric searched for.
        """
        number = number_of(report.trial_id)
        trial = self._trials[number]
        if trial.outcome is None and report.epoch > trial.epoch:
            score = self._objectives.score(report.metrics) if report.is_finite else None
            trial.epoch = report.epoch
            if report.epoch > 0 and report.elapsed_secs > 0.0:
                self._epoch_secs[number] = report.elapsed_secs / report.epoch
            self._take_in(number, trial, report.epoch, score)
        return self._standing(number, trial)

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        """Record how a trial ended; what its reports already decided stays."""
        number = number_of(trial_id)
        trial = self._trials[number]
        if trial.outcome is None:
            self._end(number, trial, outcome)

    def replay(self, reports: Iterable[EpochReport], trials: Iterable[TrialRecord]) -> dict[str, Outcome]:
        """Rebuild the state from the tables; reports in the order they arrived, trials in any order.

        Returns the trials recorded as unfinished whose reports had already decided their end. The other unfinished
        ones count as running (or as paused): continue them under their id without asking for them. A promotion that
        had led to no report yet is decided anew.
        """
        records = sorted(trials, key=lambda record: number_of(record.trial_id))
        for record in records:
            number = number_of(record.trial_id)
            point = locate_in_space(self._proposer.space, record.config, record.suggested)
            self._admit(
                number, dict(record.config) if point is None else point.config, point, "from the tables"
            )
        for report in reports:
            self.report(report)
        for record in records:
            if record.outcome is not None:
                self.finish(record.trial_id, record.outcome)
        self.prepare()
        ended = {trial_id(number): trial.outcome for number, trial in self._trials.items()}
        return {
            record.trial_id: outcome
            for record in records
            if record.outcome is None and (outcome := ended[record.trial_id]) is not None
        }

    def pareto(self) -> list[str]:
        """With several objectives, the trials nobody dominates at the highest rung that has results."""
        reached = [rung for rung in self._ladder.rungs if isinstance(rung, ParetoRung) and len(rung)]
        return list(map(trial_id, reached[-1].front())) if reached else []

    def notes(self) -> list[str]:
        """Lines for the log on what the search found out about itself, oldest first."""
        return list(self._notes)

    def suggested(self, trial_id: str) -> dict[str, Any]:
        """The parameters of a trial that its configuration does not hold under their name; `replay` needs them."""
        point = self._points.get(number_of(trial_id))
        return {} if point is None else point.beside_config

    def why(self, trial_id: str) -> str:
        """One line: why the trial was proposed, and why it was cut if it was."""
        trial = self._trials[number_of(trial_id)]
        if trial.outcome is Outcome.STOPPED and trial.verdict is not None:
            return cut_line(self._objectives, trial.verdict, self._ladder.reduction_factor)
        if trial.outcome is not None and trial.outcome.counts_against_config:
            return f"{trial.outcome} at epoch {max(trial.epoch, 0)}; proposed by {trial.why}"
        return trial.why

    def _admit(self, number: int, config: dict[str, Any], point: Point | None, why: str) -> int:
        self._trials[number] = _Trial(config, why)
        if point is not None:
            self._points[number] = point
        self._keys.add(config_key(config))
        self._open.add(number)
        self._next = max(self._next, number + 1)
        return number

    def _take_in(self, number: int, trial: _Trial, epoch: int, score: Score | None) -> None:
        if score is None:
            self._end(number, trial, Outcome.DIVERGED)
            return
        verdict = self._ladder.report(number, epoch, score)
        if verdict is None:
            return
        trial.verdict = verdict
        if verdict.arrived:
            self._weigh_rungs(verdict)
        if verdict.decision is Decision.STOP:
            self._end(number, trial, Outcome.STOPPED)
        elif verdict.rung == self._ladder.rungs[-1].epoch:
            self._end(number, trial, Outcome.COMPLETED)

    def _note_prior(self) -> None:
        line = self._proposer.model.prior_line
        told = [note for note in self._notes if note.startswith("earlier runs")]
        # Under several objectives each proposal weighs anew: what holds for one need not for the next.
        is_steady = len(self._objectives.metrics) == 1
        if line and (not told or (is_steady and told[-1].split(":")[0] != line.split(":")[0])):
            self._notes.append(line)

    def _weigh_rungs(self, verdict: RungDecision) -> None:
        """Raise or lower the first rung from the evidence."""
        if not self._rung_evidence.weigh(verdict.rung):
            return
        first, misleading = self._rung_evidence.first_useful()
        if first != self._ladder.first_rung:
            moved = "raised" if first > self._ladder.first_rung else "lowered"
            because = "; ".join(map(str, misleading)) or "the lower rungs predict well again"
            self._notes.append(f"first rung {moved} to epoch {first}: {because}")
            self._ladder.first_rung = first

    def _end(self, number: int, trial: _Trial, outcome: Outcome) -> None:
        trial.outcome = outcome
        self._open.discard(number)
        self._ladder.paused.discard(number)
        if outcome.counts_against_config:
            self._failed.add(number)

    def _standing(self, number: int, trial: _Trial) -> Decision:
        if trial.outcome is None:
            return Decision.PAUSE if number in self._ladder.paused else Decision.KEEP
        return Decision.KEEP if trial.outcome is Outcome.COMPLETED else Decision.STOP

    def _evidence(self) -> Evidence:
        ladder = self._ladder
        return Evidence(ladder.rungs, self._earlier.rungs, ladder.first_rung, self._points, self._running,
                        self._failed, self._epoch_secs if self.weighs_time else {})  # fmt: skip

    @property
    def _running(self) -> set[int]:
        return self._open - self._ladder.paused

    @property
    def _nothing_new(self) -> bool:
        return self._used_up or (self._max_trials is not None and self._next >= self._max_trials)

    def _promotable(self) -> int | None:
        """The paused trial to resume; where all are done but none is to its end, the best goes there alone."""
        promoted = self._ladder.promotable()
        if promoted is None and self._nothing_new and not self._running:
            return self._ladder.best_paused()
        return promoted
