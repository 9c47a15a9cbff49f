"""The strategy as an Optuna sampler and pruner, for anyone's `study.optimize`.

    def space(trial):
        return {"rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True)}

    def objective(trial):
        config = space(trial)
        for epoch in range(1, 28):
            accuracy = train_one_epoch(config)
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    sampler = StrategySampler(space, max_epochs=27)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=sampler.pruner())
    study.optimize(objective, n_trials=100)

Steps are epochs, counted from 1. Proposals and decisions are those of `toprung search` for the same reports in the same
order; a study in a storage continues as an unbroken one does. One process runs the study, in as many threads as it
likes: the sampler does not see the trials of other processes.

With `bounds={"latency_ms": {"max": 5}}` the objective tells each bounded metric by `trial.set_user_attr("latency_ms",
4.2)` before it reports, and `study.best_trial` keeps the bounds. `should_prune` before the first report is True where
`parameter_count` or `latency_ms`, which training does not change, is beyond its bound already.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from toprung.search.strategy.sampling.points import Point, Space
from toprung.search.strategy.strategy import Decision, Strategy, TrialRecord
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import trial_id

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

METRIC = "value"
# System attributes of a trial. Optuna keeps no order of what different trials tell, and decisions depend on it.
ARRIVALS = "toprung:arrivals"  # by epoch, how many reports the study had before this one, and the bounded metrics then
END = "toprung:end"  # how many reports and how many ends the study had before the trial's end
CONSTRAINT = "constraints:"  # Optuna's own: beyond 0 the trial is not the best
Arrival = tuple[int, dict[str, float]]
OUTCOMES = {
    TrialState.COMPLETE: Outcome.COMPLETED,
    TrialState.PRUNED: Outcome.STOPPED,
    TrialState.FAIL: Outcome.FAILED,
}


class StrategySampler(BaseSampler):
    """Proposes what the strategy proposes; `pruner()` stops what it stops. For one study of one objective.

    Args:
        space: The define-by-run space that the objective draws from. Parameters that the objective suggests beside it
            are drawn at random.
        max_epochs: Epochs (steps) of a full training.
        seed: Of the proposals.
        settings: Other fields of `StrategySettings` but `variant`, `max_trials`, `metric` and `objectives`.
    """

    def __init__(self, space: Space, max_epochs: int, seed: int = 0, **settings: Any) -> None:
        self._space, self._max_epochs, self._seed, self._settings = space, max_epochs, seed, settings
        self._independent = RandomSampler(seed)
        self._lock = threading.RLock()
        self._strategy: Strategy | None = None
        self._points: dict[int, Point] = {}
        self._ids: dict[int, str] = {}
        self._arrivals: dict[int, dict[int, Arrival]] = {}
        self._arrived = self._ended = 0

    def pruner(self) -> StrategyPruner:
        """The pruner that belongs to this sampler."""
        return StrategyPruner(self)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters of the trial's proposal, made now; none where the space has no new configuration."""
        with self._lock:
            strategy = self._started(study, trial)
            given = trial.system_attrs.get("fixed_params")  # of `study.enqueue_trial`
            proposal = strategy.take(given) if given else strategy.ask()
            if proposal is None:
                return {}
            self._ids[trial.number] = proposal.trial_id
            point = strategy.point(proposal.trial_id)
            if point is not None:
                self._points[trial.number] = point
            return dict(point.distributions) if point else {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """The values of the trial's proposal."""
        point = self._points.pop(trial.number, None)
        return dict(point.params) if point else {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, for a parameter that the space does not have."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def decide(self, study: Study, trial: FrozenTrial) -> Decision:
        """Take in the trial's values that are new and decide whether it goes on.

        Raises:
            InputError: The trial reports before it has told a bounded metric.
        """
        with self._lock:
            if trial.intermediate_values:
                _check_all_told(self._strategy_of(study), trial)
            return self._take(study, trial, trial.intermediate_values)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Take in how the trial ended; the value of a complete trial is that of its full training."""
        with self._lock:
            name = self._ids.get(trial.number)
            if name is None:
                return
            strategy, told = self._started(study, trial), dict(trial.intermediate_values)
            if state is TrialState.COMPLETE and values:
                _check_all_told(strategy, trial)
                told.setdefault(self._max_epochs, values[0])
            self._take(study, trial, told)
            known = _bounded_metrics(strategy, trial)
            strategy.measured(name, known)
            strategy.finish(name, OUTCOMES[state])
            _keep(study, trial, END, [self._arrived, self._ended])
            self._ended += 1
            for bound in strategy.objectives.bounds.all:
                excess = bound.excess(known.get(bound.metric, math.nan))
                _keep(study, trial, CONSTRAINT + bound.metric, 1.0 if math.isnan(excess) else excess)

    def reseed_rng(self) -> None:
        """Optuna calls it for threads that it starts: the strategy's draws follow from the trial's number."""
        self._independent.reseed_rng()

    def _take(self, study: Study, trial: FrozenTrial, told: Mapping[int, float]) -> Decision:
        """Take in the values, by epoch, that are new."""
        with self._lock:
            strategy, name = self._started(study, trial), self._ids.get(trial.number)
            if name is None:
                return Decision.KEEP
            bounds, known = strategy.objectives.bounds, _bounded_metrics(strategy, trial)
            if not told and bounds.of_model.violation(known) > 0.0:
                strategy.measured(name, known)
                strategy.finish(name, Outcome.STOPPED)
                return Decision.STOP
            seen, decision = self._arrivals.setdefault(trial.number, {}), Decision.KEEP
            values = sorted(told.items())
            new = {epoch: value for epoch, value in values if epoch not in seen}
            for epoch, value in new.items() or values[-1:]:
                decision = strategy.report(EpochReport(name, epoch, {METRIC: value, **known}))
                if epoch in new:
                    seen[epoch] = self._arrived, known
                    self._arrived += 1
            if new:
                _keep(study, trial, ARRIVALS, [[epoch, *arrival] for epoch, arrival in seen.items()])
            return decision

    def _strategy_of(self, study: Study) -> Strategy:
        if self._strategy is None:
            self._raise_error_if_multi_objective(study)
            mode = "max" if study.direction is StudyDirection.MAXIMIZE else "min"
            self._strategy = Strategy.for_space(
                self._space, self._max_epochs, self._seed, mode, metric=METRIC, **self._settings
            )
            self._strategy.weighs_time = False
        return self._strategy

    def _started(self, study: Study, current: FrozenTrial) -> Strategy:
        """The strategy, once it knows the trials that the study had before this sampler."""
        if self._strategy is not None:
            return self._strategy
        strategy = self._strategy_of(study)
        earlier = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if trial.number != current.number and trial.state is not TrialState.WAITING
        ]
        reports = sorted(
            (arrival, report) for trial in earlier for arrival, report in self._reports_of(trial)
        )
        records = [_record(strategy, trial) for trial in earlier]
        strategy.replay((report for _, report in reports), records)
        self._ids.update({trial.number: trial_id(trial.number) for trial in earlier})
        self._arrived = len(reports)
        self._ended = sum(record.outcome is not Outcome.PREEMPTED for record in records)
        return strategy

    def _reports_of(self, trial: FrozenTrial) -> Iterator[tuple[tuple[int, int, int], EpochReport]]:
        """The values of a trial with their place in the order of all: by arrival, trial and epoch."""
        kept = trial.system_attrs.get(ARRIVALS, ())
        arrivals: dict[int, Arrival] = {epoch: (count, dict(*known)) for epoch, count, *known in kept}
        self._arrivals[trial.number] = arrivals
        latest: Arrival = max(arrivals.values(), key=itemgetter(0), default=(0, {}))
        values = dict(trial.intermediate_values)
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            values.setdefault(self._max_epochs, trial.value)
        for epoch, value in values.items():
            count, known = arrivals.get(epoch, latest)
            report = EpochReport(trial_id(trial.number), epoch, {METRIC: value, **known})
            yield (count, trial.number, epoch), report


class StrategyPruner(BasePruner):
    """Stops the trials that the strategy of a `StrategySampler` stops."""

    def __init__(self, sampler: StrategySampler) -> None:
        self._sampler = sampler

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial stops after its latest value; one that is not finite always does."""
        return self._sampler.decide(study, trial) is Decision.STOP


def _bounded_metrics(strategy: Strategy, trial: FrozenTrial) -> dict[str, float]:
    """What the trial has told of the bounded metrics."""
    told = trial.user_attrs
    return {name: float(told[name]) for name in strategy.objectives.bounds.metrics if name in told}


def _check_all_told(strategy: Strategy, trial: FrozenTrial) -> None:
    for metric in strategy.objectives.bounds.metrics:
        if metric not in trial.user_attrs:
            rule = f"must be told before the first report: trial.set_user_attr({metric!r}, VALUE)"
            raise InputError.single(f"trial {trial.number}", f"{metric} is bounded and unknown", rule)


def _keep(study: Study, trial: FrozenTrial, attribute: str, value: Any) -> None:
    study._storage.set_trial_system_attr(trial._trial_id, attribute, value)


def _record(strategy: Strategy, trial: FrozenTrial) -> TrialRecord:
    """A trial of an earlier process; one that was running then has lost its process."""
    outcome = OUTCOMES.get(trial.state, Outcome.PREEMPTED)
    reports_before, ends_before = trial.system_attrs.get(END, (None, 0))
    measures = _bounded_metrics(strategy, trial)
    return TrialRecord(
        trial_id(trial.number), {}, outcome, trial.params, reports_before, ends_before, measures
    )
