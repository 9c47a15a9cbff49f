"""The chance that a configuration is trained without failing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.strategy import Strategy
from toprung.search.strategy.surrogate.acquisition import TriedRows, propose
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.evidence import Evidence
from toprung.search.strategy.surrogate.multi_fidelity import MultiFidelityModel, RungData
from toprung.search.strategy.surrogate.survival import LEAST, Survival
from toprung.trainables.trial.report import EpochReport

UNIT = FloatDistribution(0.0, 1.0)
PLANE = Encoding.of([Point({}, {"x": 0.5, "y": 0.5}, {"x": UNIT, "y": UNIT})])
LENGTHS = np.array([0.5, 2.0])


def test_where_trials_failed_the_chance_is_low_and_elsewhere_as_usual() -> None:
    rows = np.random.default_rng(0).random((40, 2))
    is_failed = rows[:, 0] > 0.7
    survival = Survival.fitted(rows[is_failed], rows[~is_failed], LENGTHS)
    assert survival is not None
    low, high = survival.chances(np.array([[0.9, 0.5], [0.2, 0.5]]))
    assert LEAST <= low < 0.2 and 0.8 < high <= 1.0


@pytest.mark.parametrize("alive", [0, 5])
def test_one_failure_says_nothing_and_failures_alone_keep_an_order(alive: int) -> None:
    rows = np.random.default_rng(0).random((20, 2)) * [0.3, 1.0]
    assert Survival.fitted(rows[:1], rows[15 : 15 + alive], LENGTHS) is None
    survival = Survival.fitted(rows[:15], rows[15 : 15 + alive] + np.array([0.6, 0.0]), LENGTHS)
    assert survival is not None
    near, far = survival.chances(np.array([[0.1, 0.5], [0.9, 0.5]]))
    assert near < far


def test_a_proposal_stays_away_from_high_scores_that_do_not_last() -> None:
    rows = np.random.default_rng(0).random((60, 2))
    # The greater x the better the score, and above 0.7 no training lasts: most are stopped before that shows.
    model = MultiFidelityModel(PLANE, [RungData(rows, rows[:, 0], np.zeros((0, 2)))], [None])
    lasting, failed = rows[rows[:, 0] < 0.7][:10], rows[rows[:, 0] > 0.7][:5]
    survival = Survival.fitted(failed, lasting, LENGTHS)

    def proposed(seed: int, known: Survival | None, leaders: np.ndarray) -> float:
        rng, tried = np.random.default_rng(seed), TriedRows(rows, leaders, rows[:0])
        return float(propose(PLANE, model, tried, rng, success=known).params["x"])

    assert min(proposed(seed, None, rows) for seed in range(5)) > 0.9
    assert max(proposed(seed, survival, rows) for seed in range(5)) < 0.9
    none_lasts = rows[rows[:, 0] > 0.7]
    assert max(proposed(seed, survival, none_lasts) for seed in range(5)) < 0.9


def test_a_search_leaves_a_region_that_starts_fast_and_diverges() -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {name: trial.suggest_float(name, 0.0, 1.0) for name in ("rate", "width")}

    strategy = Strategy.for_space(space, 27, seed=0)
    for _ in range(120):
        proposal = strategy.ask()
        assert proposal is not None
        rate, width = proposal.config["rate"], proposal.config["width"]
        for epoch in range(1, 28):
            value = 0.5 + 0.1 * rate if rate > 0.6 else width * (1.0 - np.exp(-epoch / 6.0))
            value = float("nan") if rate > 0.6 and epoch > 5 else value
            strategy.report(EpochReport(proposal.trial_id, epoch, {"val_accuracy": value}))
            if strategy.state(proposal.trial_id).outcome is not None:
                break
    rates = [strategy.state(f"t{number:05d}").config["rate"] for number in range(60, 120)]
    assert sum(rate > 0.6 for rate in rates) < 20, "a random search would propose 24 of them"


def test_the_trials_that_outlived_the_failures_are_those_of_the_rung_beyond() -> None:
    rungs = [Rung.of(1, dict.fromkeys(range(9), 0.1)), Rung.of(3, {1: 0.2, 2: 0.3}), Rung.of(9, {2: 0.4})]
    known = Evidence(rungs, [], 1, {}, [], {10: 2, 11: 3, 12: 8})
    assert list(known.outlived) == [2]
    many = dict.fromkeys(range(10, 20), 2)
    assert list(Evidence(rungs, [], 1, {}, [], {**many, 20: 81}).outlived) == [1, 2], "but one of eleven"
    assert list(Evidence(rungs, [], 1, {}, [], {10: 20}).outlived) == []
    assert list(Evidence(rungs, [], 1, {}, [], {}).outlived) == []
