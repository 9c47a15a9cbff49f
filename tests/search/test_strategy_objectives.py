"""Several objectives at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pareto import ParetoRung
from search.strategy import Decision, Strategy, TrialRecord
from spaces.problem import InputError
from trainables.report import EpochReport

OBJECTIVES = {"val_accuracy": "max", "parameters": "min"}
PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


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


@given(PAIRS)
def test_the_front_is_what_nobody_dominates(pairs: list[tuple[int, int]]) -> None:
    rung = ParetoRung(1)
    for number, pair in enumerate(pairs):
        rung.add(number, tuple(map(float, pair)))
    dominators = [sum(a >= c and b >= d and (a, b) != (c, d) for a, b in pairs) for c, d in pairs]
    assert rung.front() == [number for number, count in enumerate(dominators) if count == 0]
    order = [number for number, _ in rung.best_first()]
    assert sorted(order) == list(range(len(pairs)))
    assert [dominators[number] for number in order] == sorted(dominators)
    assert [rung.rank(number, rung.score(number)) for number in order] == list(range(len(pairs)))
    assert [rung.score_at(rank) for rank in range(len(pairs))] == [
        -float(dominators[number]) for number in order
    ]


def test_among_equals_the_one_that_stands_alone_comes_first() -> None:
    rung = ParetoRung(1)
    for number, pair in enumerate([(0.0, 1.0), (0.05, 0.95), (0.6, 0.4), (1.0, 0.0), (0.95, 0.05)]):
        rung.add(number, pair)
    assert rung.rank(2, rung.score(2)) == 0


def test_the_pareto_set_spreads_along_the_front() -> None:
    strategy = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    _, configs = run(strategy, 60)
    front = [configs[trial_id] for trial_id in strategy.pareto()]
    assert len(front) >= 4
    # On the true front y is 0; a random trial's y is 0.5 on average.
    assert np.mean([config["y"] for config in front]) < 0.2
    assert np.ptp([config["x"] for config in front]) > 0.5


def test_a_cut_says_how_many_dominate_the_trial() -> None:
    strategy = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    _, configs = run(strategy, 30)
    cut = [strategy.why(trial_id) for trial_id in configs if strategy.why(trial_id).startswith("cut")]
    assert cut and all("dominate it" in line for line in cut)


def test_several_objectives_replay_exactly() -> None:
    unbroken = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    reports, configs = run(unbroken, 25)
    replayed = Strategy.for_space(space, 3, 0, objectives=OBJECTIVES)
    replayed.replay(reports, [TrialRecord(trial_id, config, None) for trial_id, config in configs.items()])
    assert replayed.pareto() == unbroken.pareto()
    assert [replayed.ask() for _ in range(3)] == [unbroken.ask() for _ in range(3)]


def test_a_wrong_mode_is_an_input_error() -> None:
    with pytest.raises(InputError, match="must be max or min"):
        Strategy.for_space(space, 3, 0, objectives={"a": "max", "b": "less"})
