"""Several objectives at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from toprung.search.strategy.strategy import Decision, Strategy, TrialRecord
from toprung.trainables.trial.objectives import Objective, Objectives
from toprung.trainables.trial.report import EpochReport

OBJECTIVES = Objectives((Objective("val_accuracy", "max"), Objective("parameters", "min")))


def space(trial: Any) -> dict[str, Any]:
    return {name: trial.suggest_float(name, 0.0, 1.0) for name in ("x", "y")}


def report(trial_id: str, config: dict[str, float], epoch: int) -> EpochReport:
    """Bigger x is more accurate and larger; y only makes it worse."""
    accuracy = config["x"] - config["y"] * 0.5
    return EpochReport(
        trial_id, epoch, {"val_accuracy": accuracy * epoch, "parameters": config["x"] ** 2 + config["y"]}
    )


def run(strategy: Strategy, trials: int) -> tuple[list[EpochReport], dict[str, dict[str, Any]]]:
    reports, configs = [], {}
    for _ in range(trials):
        trial_id, config = strategy.ask()
        configs[trial_id] = config
        for epoch in (1, 2, 3):
            reports.append(report(trial_id, config, epoch))
            if strategy.report(reports[-1]) is not Decision.KEEP:
                break
    return reports, configs


def test_the_pareto_set_spreads_along_the_front() -> None:
    strategy = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    _, configs = run(strategy, 60)
    front = [configs[trial_id] for trial_id in strategy.pareto_front()]
    assert len(front) >= 4
    # On the true front y is 0; a random trial's y is 0.5 on average.
    assert np.mean([config["y"] for config in front]) < 0.2
    assert np.ptp([config["x"] for config in front]) > 0.5


def test_a_cut_says_how_many_dominate_the_trial() -> None:
    strategy = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    _, configs = run(strategy, 30)
    cut = [strategy.reason(trial_id) for trial_id in configs if strategy.reason(trial_id).startswith("cut")]
    assert cut and all("dominated by" in line for line in cut)


def test_several_objectives_replay_exactly() -> None:
    unbroken = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    reports, configs = run(unbroken, 25)
    replayed = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    replayed.replay(reports, [TrialRecord(trial_id, config, None) for trial_id, config in configs.items()])
    assert replayed.pareto_front() == unbroken.pareto_front()
    assert [replayed.ask() for _ in range(3)] == [unbroken.ask() for _ in range(3)]
