"""Where proposals come from: the user's configurations, a random draw or the model; never one twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.initial_configs import KEPT_SHARE, STEP
from toprung.search.strategy.proposer import ENOUGH_RESULTS, Proposer
from toprung.search.strategy.sampling.points import Point, config_key
from toprung.search.strategy.sampling.samplers import sample
from toprung.search.strategy.settings import StrategySettings
from toprung.search.strategy.surrogate.evidence import Evidence
from toprung.search.strategy.trials import ProposalKind
from toprung.spaces.errors import InputError


def plane(trial: Any) -> dict[str, Any]:
    return {name: trial.suggest_float(name, 0.0, 1.0) for name in ("x", "y")}


def grid(trial: Any) -> dict[str, Any]:
    """Six configurations in all."""
    return {"a": trial.suggest_int("a", 1, 3), "b": trial.suggest_categorical("b", [True, False])}


def drawn(space: Any, count: int) -> dict[int, Point]:
    return {number: sample(space, "random", 1, number) for number in range(count)}


def rung_of(points: Mapping[int, Point], count: int, epoch: int = 1) -> Rung:
    scores = {number: float(next(iter(one.params.values()))) for number, one in points.items()}
    return Rung.of(epoch, dict(list(scores.items())[:count]))


def evidence(points: Mapping[int, Point], rungs: Sequence[Rung], **others: Any) -> Evidence:
    return Evidence(
        rungs, **{"prior": [], "first_rung": 1, "running": [], "failed": {}, **others}, points=points
    )


NOTHING = evidence({}, [])


@pytest.mark.parametrize("sampler", ["stacked", "tpe", "random", "qmc"])
def test_a_proposal_is_a_function_of_seed_number_and_evidence(sampler: str) -> None:
    points = drawn(plane, 20)
    known = evidence(points, [rung_of(points, 20)])
    first = Proposer(plane, sampler, 5).propose(31, known, ())
    used = Proposer(plane, sampler, 5)
    used.propose(30, known, ())
    assert first is not None and used.propose(31, known, ()) == first
    assert Proposer(plane, sampler, 5).propose(32, known, ()) != first
    assert Proposer(plane, sampler, 6).propose(31, known, ()) != first


def test_initial_configurations_come_first_with_their_gaps_drawn() -> None:
    proposer = Proposer(plane, "stacked", 0, ({"x": 0.25, "y": 0.5}, {"x": 0.75}))
    first, second, third = (proposer.propose(number, NOTHING, ()) for number in range(3))
    assert first is not None and first.point.config == {"x": 0.25, "y": 0.5}
    assert second is not None and second.point.config["x"] == 0.75
    assert first.reason == second.reason and first.reason.startswith("initial: given by the job")
    assert third is not None and third.reason.startswith("prior: ")


def test_a_proposer_of_settings_checks_its_sampler_and_its_initial_configurations() -> None:
    with pytest.raises(InputError, match=r"search\.sampler: 'grid'"):
        Proposer.for_space(plane, 0, StrategySettings(max_epochs=3, sampler="grid"))
    with pytest.raises(InputError, match=r"search\.initial_configs\[0\]\.x: 2"):
        Proposer.for_space(plane, 0, StrategySettings(max_epochs=3, initial_configs=[{"x": 2}]))
    made = Proposer.for_space(plane, 7, StrategySettings(max_epochs=3, sampler="qmc"))
    assert (made.sampler, made.seed) == ("qmc", 7)


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_a_sampler_without_a_model_takes_no_notice_of_results(sampler: str) -> None:
    points = drawn(plane, 30)
    proposer = Proposer(plane, sampler, 0)
    with_results = proposer.propose(40, evidence(points, [rung_of(points, 30)]), ())
    assert with_results == proposer.propose(40, NOTHING, ())
    assert with_results is not None and with_results.reason == sampler


@pytest.mark.parametrize("sampler", ["stacked", "tpe"])
def test_a_model_waits_for_enough_results(sampler: str) -> None:
    points = drawn(plane, 20)
    reasons = []
    for count in (ENOUGH_RESULTS - 1, ENOUGH_RESULTS):
        known = evidence(points, [rung_of(points, count)])
        reasons.append({Proposer(plane, sampler, 0).propose(number, known, ()).reason for number in range(9)})
    assert reasons[0] == {"random: no rung that may predict the end has enough results yet"}
    assert f"{sampler}: model of {ENOUGH_RESULTS} results at rung 1" in reasons[1]


def test_a_model_waits_for_a_rung_that_may_predict_the_end() -> None:
    points = drawn(plane, 20)
    rungs = [rung_of(points, 20), *map(Rung, (3, 9, 27, 81))]

    def share_of_models(explained: float) -> float:
        known = evidence(points, rungs, explained=explained)
        proposed = [Proposer(plane, "stacked", 0).propose(number, known, ()) for number in range(20)]
        return sum(one is not None and one.reason.startswith("stacked") for one in proposed) / 20

    assert share_of_models(0.8) == 0.0
    assert share_of_models(0.9) > 0.7


def test_results_of_earlier_runs_count_towards_enough() -> None:
    points = drawn(plane, 20)
    known = evidence(points, [], prior=[rung_of(points, ENOUGH_RESULTS)])
    reasons = {Proposer(plane, "stacked", 0).propose(number, known, ()).reason for number in range(9)}
    assert f"stacked: model of {ENOUGH_RESULTS} results at rung 1" in reasons


def test_an_optuna_sampler_learns_from_the_highest_trusted_rung_with_enough_results() -> None:
    points = drawn(plane, 30)
    rungs = [rung_of(points, 30), rung_of(points, 10, epoch=3), rung_of(points, ENOUGH_RESULTS - 1, epoch=9)]
    proposer = Proposer(plane, "tpe", 0)

    def reasons(first_rung: int) -> set[str]:
        known = evidence(points, rungs, first_rung=first_rung)
        return {proposer.propose(number, known, ()).reason.partition(":")[2] for number in range(40, 49)}

    assert " model of 10 results at rung 3" in reasons(1)
    assert " model of 10 results at rung 3" in reasons(3)
    assert reasons(9) == {" no rung that may predict the end has enough results yet"}


def test_one_proposal_in_ten_ignores_the_model() -> None:
    points = drawn(plane, 20)
    known = evidence(points, [rung_of(points, 20)])
    proposer = Proposer(plane, "tpe", 0)
    proposed = [proposer.propose(number, known, ()) for number in range(100, 400)]
    ignoring = sum(one.reason == "random: one proposal in 10 ignores the model" for one in proposed)
    # Binomial of 300: mean 30, deviation sqrt(300 * 0.1 * 0.9) = 5.2; four deviations either way.
    assert 9 < ignoring < 51


@pytest.mark.parametrize("sampler", ["stacked", "tpe", "random", "qmc"])
def test_no_configuration_is_proposed_twice_until_none_is_left(sampler: str) -> None:
    points = drawn(grid, 20)
    known = evidence(points, [rung_of(points, 20)])
    proposer = Proposer(grid, sampler, 0)
    taken: set[str] = set()
    for number in range(20, 26):
        proposed = proposer.propose(number, known, taken)
        assert proposed is not None
        key = config_key(proposed.point.config)
        assert key not in taken
        taken.add(key)
    assert proposer.propose(26, known, taken) is None


@pytest.mark.parametrize("sampler", ["stacked", "tpe", "random"])
def test_preparing_changes_no_proposal(sampler: str) -> None:
    points = drawn(plane, 20)
    known = evidence(points, [rung_of(points, 20)])
    prepared = Proposer(plane, sampler, 0)
    for early in (NOTHING, known):
        prepared.prepare(early)
    assert prepared.propose(20, known, ()) == Proposer(plane, sampler, 0).propose(20, known, ())


def test_a_value_of_the_model_that_its_condition_excludes_is_drawn_again(conditional_space: Any) -> None:
    points = drawn(conditional_space, 40)
    rung = Rung.of(1, {number: -one.config["rate"] for number, one in points.items()})
    proposer = Proposer(conditional_space, "stacked", 0)
    for number in range(40, 70):
        proposed = proposer.propose(number, evidence(points, [rung]), ())
        assert proposed is not None
        config = proposed.point.config
        assert ("layers" in config) == (config["family"] == "deep") != ("dropout" in config)


def test_two_of_three_proposals_before_the_model_are_near_a_first_configuration() -> None:
    def wide(trial: Any) -> dict[str, Any]:
        choices = {f"c{i}": trial.suggest_categorical(f"c{i}", list(range(100))) for i in range(20)}
        return choices | {f"p{i}": trial.suggest_float(f"p{i}", 0.0, 1.0) for i in range(20)}

    first = {f"c{i}": 50 for i in range(20)} | {f"p{i}": 0.5 for i in range(20)}
    steps = list[float]()
    proposer = Proposer(wide, "stacked", 0, (first,))
    shared = {ProposalKind.PRIOR: list[int](), ProposalKind.RANDOM: list[int]()}
    for number in range(1, 81):
        proposed = proposer.propose(number, NOTHING, ())
        assert proposed is not None
        same = sum(proposed.point.config[name] == value for name, value in first.items())
        shared[proposed.origin.kind].append(same)
        if proposed.origin.kind is ProposalKind.PRIOR:
            steps += [proposed.point.config[f"p{i}"] - 0.5 for i in range(20)]
    assert max(shared[ProposalKind.RANDOM]) <= 4 and len(shared[ProposalKind.PRIOR]) == 54
    # Of 20 categories 14 are kept on average, and of the others one in a hundred; the mean over 54 trials has a
    # standard error of sqrt(20 * 0.21 / 54) = 0.28, the deviation of 1,080 steps one of 1 / sqrt(2 * 1080) = 2.2%.
    assert np.mean(shared[ProposalKind.PRIOR]) == pytest.approx(20 * KEPT_SHARE, abs=5 * 0.28)
    assert np.std(steps) == pytest.approx(STEP, rel=5 * 0.022)


def test_without_first_configurations_there_is_no_prior() -> None:
    proposer = Proposer(plane, "stacked", 0)
    found = [proposer.propose(number, NOTHING, ()) for number in range(8)]
    assert {one.origin.kind for one in found if one} == {ProposalKind.RANDOM}


@pytest.mark.parametrize(("first_score", "share"), [(2.0, 1.0), (-2.0, 0.1)])
def test_what_lies_near_a_first_configuration_is_proposed_as_often_as_it_beats_random_ones(
    first_score: float, share: float
) -> None:
    proposer = Proposer(plane, "stacked", 0, ({"x": 0.5, "y": 0.5},))
    points = drawn(plane, 28)
    controls = dict.fromkeys(range(3, 28, 3), 0.0)  # nine that are random, whatever is known
    waiting = [Rung(epoch) for epoch in (3, 9, 27, 81)]
    known = evidence(points, [Rung.of(1, {0: first_score, **controls}), *waiting], explained=0.5)
    kinds = [one.origin.kind for n in range(28, 628) if (one := proposer.propose(n, known, ()))]
    assert set(kinds) <= {ProposalKind.PRIOR, ProposalKind.RANDOM}, "no rung may predict the end yet"
    # Of 600 proposals 400 are not random in any case; a share of 0.1 of them has a deviation of 6.
    assert kinds.count(ProposalKind.PRIOR) == pytest.approx(400 * share, abs=5 * 6)
