"""Ray Tune's own Searcher and TrialScheduler in the simulator, called in the order of its controller."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from toprung.search.strategy.strategy import Decision, Proposal
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import trial_id

METRIC = "val_accuracy"


class RayPolicy:
    """A pair of Ray classes as a policy."""

    def __init__(self, searcher: Any, scheduler: Any) -> None:
        self._searcher = searcher
        self._scheduler = scheduler
        self._trials: dict[str, Any] = {}
        self._last: dict[str, dict[str, Any]] = {}

    def ask(self) -> Proposal | None:
        key = trial_id(len(self._trials))
        config = self._searcher.suggest(key)
        if config is None:
            return None
        # ASHA reads nothing of a trial but its id.
        self._trials[key] = SimpleNamespace(trial_id=key, config=config)
        self._scheduler.on_trial_add(None, self._trials[key])
        return Proposal(key, config)

    def report(self, report: EpochReport) -> Decision:
        result = {"training_iteration": report.epoch, METRIC: report.metrics[METRIC]}
        self._last[report.trial_id] = result
        decision = self._scheduler.on_trial_result(None, self._trials[report.trial_id], result)
        if decision == TrialScheduler.STOP:
            # The controller tells the searcher of the end only: its last report is never passed on.
            self._searcher.on_trial_complete(report.trial_id, result=result)
            return Decision.STOP
        self._searcher.on_trial_result(report.trial_id, result)
        return Decision.KEEP

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        if outcome is Outcome.COMPLETED:
            result = self._last[trial_id]
            self._scheduler.on_trial_complete(None, self._trials[trial_id], result)
            self._searcher.on_trial_complete(trial_id, result=result)
        elif outcome is not Outcome.STOPPED:
            self._scheduler.on_trial_remove(None, self._trials[trial_id])
            self._searcher.on_trial_complete(trial_id, error=True)


class RandomSearcher:
    """Random proposals behind the Searcher's calls; Ray's own need its search-space classes."""

    def __init__(self, space: Any, seed: int) -> None:
        import optuna

        self._space = space
        self._study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))

    def suggest(self, trial_id: str) -> dict[str, Any]:
        return dict(self._space(self._study.ask()))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        pass

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass


def stock(blackbox: Any, seed: int) -> RayPolicy:
    """Ray Tune as its documentation combines it: OptunaSearch and ASHAScheduler with their defaults."""
    searcher = OptunaSearch(space=blackbox.space, metric=METRIC, mode="max", seed=seed)
    return RayPolicy(searcher, ASHAScheduler(metric=METRIC, mode="max", max_t=blackbox.max_epochs))


def random_asha(blackbox: Any, seed: int) -> RayPolicy:
    """Random search with Ray's ASHA at the paper's reduction factor of 3."""
    scheduler = ASHAScheduler(metric=METRIC, mode="max", max_t=blackbox.max_epochs, reduction_factor=3)
    return RayPolicy(RandomSearcher(blackbox.space, seed), scheduler)


PEERS = {"Ray OptunaSearch + ASHA": stock, "random + ASHA(3)": random_asha}
