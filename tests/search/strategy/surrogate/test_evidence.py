"""What is known when a proposal is made, and what a sampler is shown of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution

from toprung.search.strategy.early_stopping.pareto import ParetoRung
from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.evidence import OBSERVED, Evidence

UNIT = FloatDistribution(0.0, 1.0)


def points(numbers: Collection[int]) -> dict[int, Point]:
    return {number: Point({"x": 0.5}, {"x": 0.5}, {"x": UNIT}) for number in numbers}


def evidence(rungs: Sequence[Rung], **others: Any) -> Evidence:
    defaults: dict[str, Any] = {"prior": [], "first_rung": 1, "running": [], "failed": {}}
    return Evidence(rungs, **{"points": points(range(-9, 2000)), **defaults, **others})


def several(pairs: Sequence[tuple[float, float]], epoch: int = 1) -> ParetoRung:
    rung = ParetoRung(epoch)
    for number, pair in enumerate(pairs):
        rung.add(number, pair)
    return rung


def test_rungs_with_too_few_results_are_left_out() -> None:
    rungs = [Rung.of(1, dict.fromkeys(range(5), 0.1)), Rung.of(3, dict.fromkeys(range(2), 0.1))]
    prior = [Rung.of(1, {-1: 0.5})]
    known = evidence(rungs, prior=prior)
    assert known.levels == [*prior, *rungs]
    assert known.most_results == 5 + 1
    assert known.at_least(2).levels == rungs
    assert known.at_least(3).levels == rungs[:1]
    assert known.at_least(6).levels == []


def test_low_rungs_predict_the_end_where_the_rungs_explain_each_other() -> None:
    scores = dict.fromkeys(range(5), 0.1)
    rungs = [Rung.of(1, scores), Rung.of(3, scores), *map(Rung, (9, 27, 81))]
    # Three rungs lie above those with results, and 0.8 ** 3 = 0.51; from the first rung alone there are four.
    assert evidence(rungs, explained=0.8).at_least(3).predicts_the_end
    rungs[1] = Rung(3)
    assert not evidence(rungs, explained=0.8).at_least(3).predicts_the_end
    assert evidence(rungs, explained=0.9).at_least(3).predicts_the_end
    assert evidence(rungs[:-1], explained=0.8).at_least(3).predicts_the_end
    assert evidence(rungs, explained=0.8, prior=[Rung.of(1, scores)]).at_least(3).predicts_the_end


def test_an_optuna_sampler_sees_running_trials_without_a_score_and_failed_ones_below_any() -> None:
    rung = Rung.of(1, {0: 0.25, 3: 0.75, 1: 0.5})
    seen = evidence([rung], running=[1, 5], failed={2: 1, 3: 1}).observations(rung)
    assert {one.number: one.score for one in seen} == {0: 0.25, 1: 0.5, 2: 0.25 - 0.5, 3: 0.75, 5: None}
    assert [one.number for one in seen] == [0, 1, 2, 3, 5]


def test_trials_without_a_point_in_the_space_are_not_observed() -> None:
    rung = Rung.of(1, {0: 0.2, 1: 0.5})
    seen = evidence([rung], points=points([1]), running=[7], failed={8: 1}).observations(rung)
    assert [one.number for one in seen] == [1]


def test_of_many_results_the_best_and_the_latest_are_observed() -> None:
    count = 4 * OBSERVED
    rung = Rung.of(1, {number: -float(number) for number in range(count)})  # the best came first
    seen = [one.number for one in evidence([rung]).observations(rung)]
    half = OBSERVED // 2
    assert seen == [*range(half), *range(count - half, count)]


def test_one_objective_needs_no_weights() -> None:
    known = evidence([Rung.of(1, {0: 0.2})])
    assert known.weighted(3) is known


def test_several_objectives_become_one_score_by_weights_that_follow_from_the_seed() -> None:
    pairs = [(0.0, 1.0), (0.4, 0.4), (1.0, 0.0)]
    known = evidence([several(pairs), ParetoRung(3)], prior=[several(pairs)])
    first, again, other = (known.weighted(seed) for seed in (3, 3, 4))
    assert len(first.rungs) == 1, "a rung without results has no scale to weigh by"
    assert first.rungs[0].weights == again.rungs[0].weights == first.prior[0].weights
    assert first.rungs[0].weights != other.rungs[0].weights
    np.testing.assert_allclose(sum(first.rungs[0].weights), 1.0)
    assert first.rungs[0].scores == again.rungs[0].scores


def test_over_many_proposals_every_weighting_occurs() -> None:
    known = evidence([several([(0.0, 1.0), (1.0, 0.0)])])
    weights = np.array([known.weighted(seed).rungs[0].weights[0] for seed in range(200)])
    # Uniform on [0, 1]: the largest deviation of 200 draws from it is below 0.115 in 99 of 100 cases (Kolmogorov).
    deviation = np.abs(np.sort(weights) - (np.arange(200) + 0.5) / 200).max()
    assert deviation < 0.115
