"""Optuna's own samplers and pruners in the simulator, through ask, report, should_prune and tell."""

from __future__ import annotations

from typing import Any

import optuna

from toprung.search.strategy.strategy import Decision, Proposal
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import trial_id


class OptunaPolicy:
    """A study as a policy."""

    def __init__(self, space: Any, sampler: Any, pruner: Any) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        # The pruner hashes the study's name into its brackets: a fixed one keeps the run the same.
        self._study = optuna.create_study(
            study_name="peer", sampler=sampler, pruner=pruner, direction="maximize"
        )
        self._trials: dict[str, Any] = {}
        self._values: dict[str, float] = {}

    def ask(self) -> Proposal:
        trial = self._study.ask()
        config = dict(self._space(trial))
        key = trial_id(trial.number)
        self._trials[key] = trial
        return Proposal(key, config)

    def report(self, report: EpochReport) -> Decision:
        trial = self._trials[report.trial_id]
        self._values[report.trial_id] = report.metrics["val_accuracy"]
        trial.report(self._values[report.trial_id], report.epoch)
        return Decision.STOP if trial.should_prune() else Decision.KEEP

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        trial = self._trials.pop(trial_id)
        if outcome is Outcome.COMPLETED:
            self._study.tell(trial, self._values[trial_id])
        else:
            pruned = outcome is Outcome.STOPPED
            state = optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.FAIL
            self._study.tell(trial, state=state)


def hyperband(blackbox: Any, seed: int) -> OptunaPolicy:
    """TPE with HyperbandPruner, the pair Optuna's documentation recommends."""
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=blackbox.max_epochs)
    return OptunaPolicy(blackbox.space, optuna.samplers.TPESampler(seed=seed), pruner)


def halving(blackbox: Any, seed: int) -> OptunaPolicy:
    """TPE with SuccessiveHalvingPruner from the first epoch on, at the paper's reduction factor of 3."""
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return OptunaPolicy(blackbox.space, optuna.samplers.TPESampler(seed=seed), pruner)


PEERS = {"Optuna TPE + Hyperband": hyperband, "Optuna TPE + SuccessiveHalving": halving}
