"""Syne Tune's schedulers in the simulator, called in the order in which its tuner calls them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.baselines import ASHA, ASHACQR, BOHB
from syne_tune.optimizer.scheduler import SchedulerDecision

from toprung.search.strategy.sampling.samplers import sample
from toprung.search.strategy.strategy import Decision, Proposal
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import trial_id

METRIC, EPOCH = "val_accuracy", "epoch"
STARTED = datetime(2000, 1, 1)


class SyneTunePolicy:
    """A scheduler of Syne Tune as a policy."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._trials: dict[str, Trial] = {}
        self._last: dict[str, dict[str, Any]] = {}

    def ask(self) -> Proposal | None:
        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        number = len(self._trials)
        trial = Trial(trial_id=number, config=suggestion.config, creation_time=STARTED)
        self._trials[trial_id(number)] = trial
        self._scheduler.on_trial_add(trial)
        return Proposal(trial_id(number), suggestion.config)

    def report(self, report: EpochReport) -> Decision:
        result = {METRIC: report.metrics[METRIC], EPOCH: report.epoch}
        self._last[report.trial_id] = result
        decision = self._scheduler.on_trial_result(self._trials[report.trial_id], result)
        return Decision.STOP if decision == SchedulerDecision.STOP else Decision.KEEP

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        trial = self._trials[trial_id]
        if outcome is Outcome.COMPLETED:
            self._scheduler.on_trial_complete(trial, self._last[trial_id])
        elif outcome is not Outcome.STOPPED:
            self._scheduler.on_trial_error(trial)


def config_space(space: Any) -> dict[str, Any]:
    """A define-by-run space without conditions as Syne Tune's dictionary of domains."""
    return {
        name: _domain(distribution)
        for name, distribution in sample(space, "random", 0, 0).distributions.items()
    }


def _domain(distribution: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return choice(list(distribution.choices))
    if isinstance(distribution, IntDistribution):
        return (lograndint if distribution.log else randint)(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return (loguniform if distribution.log else uniform)(distribution.low, distribution.high)


def peer(scheduler: Any) -> Callable[[Any, int], SyneTunePolicy]:
    """A maker of policies from a class of `syne_tune.optimizer.baselines`."""

    def make(blackbox: Any, seed: int) -> SyneTunePolicy:
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        np.random.seed(seed)  # its schedulers draw from the global generator as well as from their own
        return SyneTunePolicy(
            scheduler(
                config_space(blackbox.space),
                metric=METRIC,
                time_attr=EPOCH,
                max_t=blackbox.max_epochs,
                do_minimize=False,
                random_seed=seed,
            )
        )

    return make


PEERS = {"Syne Tune ASHA": peer(ASHA), "Syne Tune BOHB": peer(BOHB), "Syne Tune CQR": peer(ASHACQR)}
