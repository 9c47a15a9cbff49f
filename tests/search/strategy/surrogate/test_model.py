"""The model-based sampler: where it proposes, and which evidence it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from threadpoolctl import threadpool_info

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate import model as model_module
from toprung.search.strategy.surrogate.evidence import Evidence
from toprung.search.strategy.surrogate.model import RungModel

UNIT = FloatDistribution(0.0, 1.0)
PLANE = {"x": UNIT, "y": UNIT}
SEEDS = range(5)


def point(x: float, y: float) -> Point:
    return Point({"x": x, "y": y}, {"x": x, "y": y}, PLANE)


def spread(count: int, seed: int = 0, first: int = 0, step: int = 1) -> dict[int, Point]:
    """Random points of the plane by trial number."""
    rows = np.random.default_rng(seed).random((count, 2))
    return {first + step * i: point(*row) for i, row in enumerate(rows.tolist())}


def height(one: Point, at: float) -> float:
    """Best where x is `at`; y plays no part."""
    return 1.0 - (float(one.params["x"]) - at) ** 2


def rung_of(points: Mapping[int, Point], at: float, epoch: int = 1) -> Rung:
    return Rung.of(epoch, {number: height(one, at) for number, one in points.items()})


def evidence(points: Mapping[int, Point], rungs: Sequence[Rung], **others: Any) -> Evidence:
    return Evidence(
        rungs, **{"prior": [], "first_rung": 1, "running": [], "failed": {}, **others}, points=points
    )


def propose(known: Evidence, seed: int = 0, model: RungModel | None = None) -> dict[str, Any]:
    found = (model or RungModel()).propose(known, np.random.default_rng(seed))
    return {} if found is None else found.params


def test_nothing_is_proposed_where_no_parameter_leaves_a_choice() -> None:
    only = CategoricalDistribution(["only"])
    points = {number: Point({"x": "only"}, {"x": "only"}, {"x": only}) for number in range(6)}
    rungs = [Rung.of(1, dict.fromkeys(range(6), 0.5))]
    assert propose(evidence(points, rungs)) == {} == propose(evidence({}, []))


def test_results_of_trials_that_the_space_no_longer_allows_are_not_modelled() -> None:
    points = spread(6, first=100)
    outdated = Rung.of(1, dict.fromkeys(range(20), 0.5))
    assert propose(evidence(points, [outdated])) == {}
    mixed = Rung.of(1, {**outdated.scores, **rung_of(points, 0.7).scores})
    assert propose(evidence(points, [mixed])).keys() == {"x", "y"}


def test_proposals_lie_where_the_best_results_are() -> None:
    points = spread(40)
    proposed = [propose(evidence(points, [rung_of(points, 0.7)]), seed)["x"] for seed in SEEDS]
    assert proposed == pytest.approx([0.7] * len(SEEDS), abs=0.15)


def test_the_highest_rung_decides_where_the_rungs_differ() -> None:
    points = spread(40)
    few = dict(list(points.items())[:15])
    known = evidence(points, [rung_of(points, 0.2), rung_of(few, 0.8, epoch=3)])
    proposed = [propose(known, seed)["x"] for seed in SEEDS]
    assert proposed == pytest.approx([0.8] * len(SEEDS), abs=0.2)


def test_while_results_are_few_a_running_trial_sends_the_next_one_elsewhere() -> None:
    points = spread(8)
    scores = {number: height(one, 0.7) - (one.params["y"] - 0.3) ** 2 for number, one in points.items()}
    rungs = [Rung.of(1, scores)]
    for seed in SEEDS:
        first = propose(evidence(points, rungs), seed)
        running = evidence({**points, 8: point(**first)}, rungs, running=[8])
        second = propose(running, seed)
        assert np.hypot(first["x"] - second["x"], first["y"] - second["y"]) > 0.02


def test_failed_trials_keep_proposals_away_from_their_region() -> None:
    points = {number: one for number, one in spread(60).items() if one.params["y"] < 0.5}
    failed = {number: one for number, one in spread(60, seed=1, first=100).items() if one.params["y"] > 0.5}
    rungs = [rung_of(points, 0.7)]

    def share_there(known: Evidence) -> float:
        return sum(propose(known, seed)["y"] > 0.5 for seed in range(40)) / 40

    # y plays no part in the score, so that the untried half attracts proposals. That both shares have one true value
    # and differ by 0.4 is less likely than 0.001: the deviation of a difference of two shares of 40 is 0.11 at most.
    assert share_there(evidence(points, rungs)) > 0.4 + share_there(
        evidence({**points, **failed}, rungs, failed=dict.fromkeys(failed, 1))
    )


def test_of_equal_values_the_quick_configuration_is_proposed() -> None:
    points = spread(40)
    rungs = [Rung.of(1, {number: height(one, 0.7) for number, one in points.items()})]
    secs = {number: float(np.exp(4.0 * one.params["y"])) for number, one in points.items()}
    timed = [propose(evidence(points, rungs, epoch_secs=secs), seed)["y"] for seed in range(20)]
    untimed = [propose(evidence(points, rungs), seed)["y"] for seed in range(20)]
    # Without times y plays no part: uniform, so the mean of 20 has the deviation sqrt(1 / 12 / 20) = 0.065.
    assert np.mean(timed) < 0.5 - 3 * 0.065
    assert np.mean(timed) < np.mean(untimed)


def test_earlier_runs_are_used_unchecked_while_there_are_few_results() -> None:
    prior = spread(40, seed=1, first=-1, step=-1)
    own = spread(4)
    model = RungModel()
    known = evidence({**prior, **own}, [rung_of(own, 0.7)], prior=[rung_of(prior, 0.7)])
    assert propose(known, model=model)["x"] == pytest.approx(0.7, abs=0.2)
    assert model.prior_note is None


def test_earlier_runs_that_agree_are_used_and_noted() -> None:
    prior = spread(40, seed=1, first=-1, step=-1)
    own = spread(9)
    model = RungModel()
    known = evidence({**prior, **own}, [rung_of(own, 0.7)], prior=[rung_of(prior, 0.7)])
    assert propose(known, model=model)["x"] == pytest.approx(0.7, abs=0.15)
    assert model.prior_note is not None and model.prior_note.startswith("earlier runs help: ")
    assert model.prior_note.endswith("over 9 trials")


@pytest.mark.parametrize("equal_scores", [False, True])
def test_earlier_runs_that_mislead_or_say_nothing_are_left_out(equal_scores: bool) -> None:
    prior = spread(40, seed=1, first=-1, step=-1)
    own = spread(30)
    scores = {number: 0.5 if equal_scores else -height(one, 0.7) for number, one in prior.items()}
    model = RungModel()
    known = evidence({**prior, **own}, [rung_of(own, 0.7)], prior=[Rung.of(1, scores)])
    without = evidence(own, [rung_of(own, 0.7)])
    assert propose(known, model=model) == propose(without)
    assert model.prior_note is not None and model.prior_note.startswith("earlier runs mislead")
    assert ("rank correlation of 0.00" in model.prior_note) == equal_scores


def test_preparing_changes_no_proposal_and_takes_the_fits_off_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from toprung.search.strategy.surrogate import length_scales

    fits: list[int] = []
    fit = length_scales.fit_lengths
    monkeypatch.setattr(
        length_scales, "fit_lengths", lambda points, values: fits.append(len(values)) or fit(points, values)
    )
    points = spread(40)
    known = evidence(points, [rung_of(points, 0.7), rung_of(points, 0.6, epoch=3)])
    model = RungModel()
    model.prepare(known)
    assert len(fits) == 2, "one for each rung"
    assert propose(known, model=model) == propose(known)
    assert len(fits) == 4, "two of the model that was not prepared"


def test_a_parameter_that_appears_later_is_modelled_from_then_on() -> None:
    points = spread(20)
    model = RungModel()
    propose(evidence(points, [rung_of(points, 0.7)]), model=model)
    wider = {
        20 + i: Point({}, {**one.params, "z": i / 10}, {**PLANE, "z": UNIT})
        for i, one in enumerate(spread(10, seed=2).values())
    }
    both = {**points, **wider}
    known = evidence(both, [rung_of(both, 0.7)])
    for seed in SEEDS:
        assert propose(known, seed, model) == propose(known, seed, RungModel())
    assert "z" in {name for seed in range(20) for name in propose(known, seed, model)}


def test_the_linear_algebra_runs_on_one_thread_and_on_all_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    within: list[set[int]] = []
    inner = model_module.propose
    monkeypatch.setattr(model_module, "propose", lambda *given: within.append(threads()) or inner(*given))
    before = threads()
    points = spread(20)
    propose(evidence(points, [rung_of(points, 0.7)]))
    assert within == [{1}]
    assert threads() == before
