"""Small spaces and curves that the strategy's tests share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from search_loop_fakes import fake_loop, recorded_facts

from toprung.search.strategy.strategy import Decision, Strategy
from toprung.trainables.trial.report import EpochReport, Outcome

__all__ = ["fake_loop", "recorded_facts"]  # fixtures of the tests of the loop, its workers and its driver


def space(trial: Any) -> dict[str, Any]:
    """A conditional space: the layers exist only in the deep family."""
    family = trial.suggest_categorical("family", ["wide", "deep"])
    config = {"family": family, "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True)}
    if family == "deep":
        config["layers"] = trial.suggest_int("layers", 1, 5)
    else:
        config["dropout"] = trial.suggest_float("dropout", 0.0, 1.0)
    return config


def value(config: Mapping[str, Any], epoch: int) -> float:
    """Best at a rate of 3e-3; every curve rises to its own height."""
    height = 1 - abs(math.log10(config["rate"]) + 2.5) / 3 + 0.1 * (config["family"] == "deep")
    return height * (1 - math.exp(-epoch / 5))


class Bench:
    """Runs trials of a strategy one after the other and keeps every report."""

    def __init__(self, strategy: Strategy, max_epochs: int) -> None:
        self.strategy = strategy
        self.max_epochs = max_epochs
        self.reports: list[EpochReport] = []
        self.configs: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, Outcome | None] = {}

    def run(self, asks: int, failing: Callable[[Mapping[str, Any]], Outcome | None] = lambda _: None) -> None:
        for _ in range(asks):
            proposal = self.strategy.ask()
            if proposal is None:
                return
            self.configs[proposal.trial_id] = proposal.config
            self.outcomes[proposal.trial_id] = failing(proposal.config) or self._train(*proposal)
            outcome = self.outcomes[proposal.trial_id]
            if outcome is not None:
                self.strategy.finish(proposal.trial_id, outcome)

    def _train(self, trial_id: str, config: Mapping[str, Any]) -> Outcome | None:
        for epoch in range(self.strategy.rung_of(trial_id) + 1, self.max_epochs + 1):
            self.reports.append(EpochReport(trial_id, epoch, {"val_accuracy": value(config, epoch)}))
            decision = self.strategy.report(self.reports[-1])
            if decision is not Decision.KEEP:
                return Outcome.STOPPED if decision is Decision.STOP else None
        return Outcome.COMPLETED


@pytest.fixture
def conditional_space() -> Callable[[Any], dict[str, Any]]:
    return space


@pytest.fixture
def curve_value() -> Callable[[Mapping[str, Any], int], float]:
    return value


@pytest.fixture
def bench() -> type[Bench]:
    return Bench
