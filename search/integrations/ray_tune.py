"""The strategy as a Ray Tune search algorithm and scheduler, for anyone's trainable.

    def space(trial):
        return {"rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True)}

    search = StrategySearch(space, max_epochs=27, metric="val_accuracy", mode="max")
    tuner = tune.Tuner(
        trainable,  # reports val_accuracy after each epoch
        tune_config=tune.TuneConfig(
            search_alg=search, scheduler=search.scheduler(), num_samples=100, max_concurrent_trials=8
        ),
    )
    results = tuner.fit()

Ray Tune schedules every trial; proposals and decisions are those of `toprung search` for the same reports in the same
order. `Tuner.restore` continues with everything that was known. With `variant="promote"` every trial pauses at a rung,
and the best are resumed from their checkpoints: the trainable has to save them.

With `bounds={"latency_ms": {"max": 5}}` each report holds the bounded metrics too. A trial whose first report shows a
`parameter_count` or a `latency_ms`, which training does not change, beyond its bound is stopped there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from toprung.search.strategy.sampling.points import Space
from toprung.search.strategy.strategy import Decision, Strategy
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCH = "training_iteration"
DECISIONS = {
    Decision.KEEP: TrialScheduler.CONTINUE,
    Decision.STOP: TrialScheduler.STOP,
    Decision.PAUSE: TrialScheduler.PAUSE,
}


class _Shared:
    """What searcher and scheduler share: the strategy, and the names of its trials.

    Args:
        strategy: Decides.
        epoch_key: The entry of a report that counts the epochs from 1.

    Attributes:
        strategy: As given.
        names: The strategy's name of each trial of Ray Tune.
        resuming: The paused trial, by Ray Tune's name, that the strategy has resumed and that does not run yet.
        at_once: How many trials may run at once, paused ones not counted; None: as many as Ray Tune has room for.
    """

    def __init__(self, strategy: Strategy, epoch_key: str) -> None:
        self.strategy = strategy
        self.epoch_key = epoch_key
        self.names: dict[str, str] = {}
        self.resuming: str | None = None
        self.at_once: int | None = None

    @property
    def has_room(self) -> bool:
        """Whether another trial may run."""
        return self.at_once is None or len(self.strategy.running) < self.at_once

    def of(self, name: str) -> str:
        """Ray Tune's name of a trial of the strategy."""
        return next(other for other, own in self.names.items() if own == name)

    def report(self, trial_id: str, result: Mapping[str, Any]) -> Decision:
        """Take in an epoch of a trial; one that is repeated changes nothing.

        Raises:
            InputError: A bounded metric is missing.
        """
        strategy, name = self.strategy, self.names[trial_id]
        for metric in strategy.objectives.bounds.metrics:
            if metric not in result:
                rule = "must be in each report, as it is bounded"
                raise InputError.single(f"trial {trial_id}", f"{metric} is missing", rule)
        metrics = {metric: float(result[metric]) for metric in strategy.objectives.measured}
        if strategy.state(name).epoch < 0 and strategy.objectives.bounds.of_model.violation(metrics) > 0.0:
            strategy.measured(name, metrics)
            strategy.finish(name, Outcome.STOPPED)
        secs, elapsed_secs = (float(result.get(key) or 0.0) for key in ("time_this_iter_s", "time_total_s"))
        epoch = int(result[self.epoch_key])
        return strategy.report(EpochReport(name, epoch, metrics, secs, elapsed_secs))


class StrategySearch(Searcher):  # type: ignore[misc]
    """Proposes what the strategy proposes; `scheduler()` stops and pauses what it stops and pauses.

    Args:
        space: The define-by-run space of the configurations.
        max_epochs: Epochs of a full training, after which a trial is stopped.
        metric: The metric that each report holds.
        mode: "max" or "min".
        seed: Of the proposals.
        epoch_key: The entry of a report that counts the epochs from 1.
        settings: Other fields of `StrategySettings` but `max_trials`, which is Ray Tune's `num_samples`, and
            `objectives`; and `weighs_time`, which is off by default, so that equal values give equal proposals.
    """

    def __init__(
        self,
        space: Space,
        max_epochs: int,
        metric: str,
        mode: str = "max",
        *,
        seed: int = 0,
        epoch_key: str = EPOCH,
        **settings: Any,
    ) -> None:
        super().__init__(metric=metric, mode=mode)
        weighs_time = settings.pop("weighs_time", False)
        strategy = Strategy.for_space(space, max_epochs, seed, mode, metric=metric, **settings)
        strategy.weighs_time = weighs_time
        self._shared = _Shared(strategy, epoch_key)

    def scheduler(self) -> StrategyScheduler:
        """The scheduler that belongs to this search."""
        return StrategyScheduler(self._shared, str(self._metric))

    def set_search_properties(
        self,
        metric: str | None,
        mode: str | None,
        config: Mapping[str, Any],  # noqa: ARG002
        **spec: Any,  # noqa: ARG002
    ) -> bool:
        """Whether Ray Tune's metric and mode, where it is given them, are ours; constants of `config` are kept."""
        return metric in (None, self._metric) and mode in (None, self._mode)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A new configuration; None while none may run or a paused trial is to be resumed first."""
        shared = self._shared
        if shared.resuming is not None or not shared.has_room:
            return None
        proposal = shared.strategy.ask()
        if proposal is None:
            return str(self.FINISHED)
        if proposal.trial_id in shared.names.values():
            shared.resuming = shared.of(proposal.trial_id)
            return None
        shared.names[trial_id] = proposal.trial_id
        return dict(proposal.config)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Take Ray Tune's `max_concurrent_trials`, which would count paused trials as well."""
        self._shared.at_once = max_concurrent
        return True

    def on_trial_complete(
        self,
        trial_id: str,
        result: Mapping[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        """Take in how a trial ended, where its reports have not decided that.

        A trainable that ends by itself tells the scheduler nothing of its last epoch.
        """
        shared, name = self._shared, self._shared.names.get(trial_id)
        if name is None:
            return
        if result and not error and self._metric in result and shared.epoch_key in result:
            shared.report(trial_id, result)
        shared.strategy.finish(name, Outcome.FAILED if error else Outcome.STOPPED)

    def save(self, checkpoint_path: str) -> None:
        """Write what is known; Ray Tune calls it beside each checkpoint of the experiment."""
        Path(checkpoint_path).write_bytes(cloudpickle.dumps(vars(self._shared)))

    def restore(self, checkpoint_path: str) -> None:
        """Read what `save` has written, for the scheduler too."""
        vars(self._shared).update(cloudpickle.loads(Path(checkpoint_path).read_bytes()))


class StrategyScheduler(TrialScheduler):  # type: ignore[misc]
    """Stops, pauses and resumes trials; made by `StrategySearch.scheduler`."""

    def __init__(self, shared: _Shared, metric: str) -> None:
        super().__init__()
        self._shared, self._metric = shared, metric
        self._chosen: str | None = None  # the resumed trial, once it was given to Ray Tune to run

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:  # noqa: ARG002
        """Whether Ray Tune's metric, where it is given one, is ours; its number of trials is the strategy's."""
        trials = spec.get("num_samples", -1)
        self._shared.strategy.max_trials = trials if trials > 0 else None
        return metric in (None, self._metric)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial that waits for a promotion when the experiment is restored goes on waiting."""
        if self._shared.names.get(trial.trial_id) in self._shared.strategy.paused:
            tune_controller._set_trial_status(trial, Trial.PAUSED)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Decide after an epoch."""
        shared = self._shared
        if trial.trial_id not in shared.names:  # such as a trial that Ray Tune restarts under another name
            shared.names[trial.trial_id] = shared.strategy.take(trial.config).trial_id
        decision = shared.report(trial.trial_id, result)
        if shared.resuming == trial.trial_id:
            shared.resuming = self._chosen = None
        is_over = int(result[shared.epoch_key]) >= shared.strategy.rung_epochs[-1]
        return str(TrialScheduler.STOP if is_over else DECISIONS[decision])

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """A resumed trial, else the first that waits to start; nothing changes while it does not run."""
        trials = tune_controller.get_live_trials()
        waiting = {trial.trial_id: trial for trial in trials if trial.status in (Trial.PAUSED, Trial.PENDING)}
        resuming = self._shared.resuming
        if resuming in waiting:
            self._chosen = resuming
            return waiting[resuming]
        if resuming is not None and resuming != self._chosen:
            return None  # it is being paused still
        self._shared.resuming = self._chosen = None
        pending = [one for one in tune_controller.get_trials() if one.status == Trial.PENDING]
        if pending or not waiting:
            return pending[0] if pending else None
        return self._resumed(tune_controller, waiting)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> None:
        """Nothing: the searcher is told too."""

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing: the searcher is told where the trial is not tried again."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing: the searcher is told too."""

    def debug_string(self) -> str:
        """What the strategy found out last."""
        return "; ".join(["toprung", *self._shared.strategy.notes()[-1:]])

    def _resumed(self, tune_controller: Any, paused: Mapping[str, Trial]) -> Trial | None:
        """The paused trial that the strategy resumes now; where it resumes no more, the paused ones end."""
        strategy = self._shared.strategy
        name = strategy.resume() if self._shared.has_room else None
        if name is not None:
            self._shared.resuming = self._shared.of(name)
            return paused.get(self._shared.resuming)
        if strategy.exhausted:
            for trial in list(paused.values()):
                tune_controller.stop_trial(trial)
        return None
