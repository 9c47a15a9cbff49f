"""The parameters of a space are the union over its branches."""

from __future__ import annotations

import random
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from toprung.spaces.definition.introspection import RecordingTrial, changing_parameters, describe
from toprung.spaces.definition.trial import is_requested
from toprung.spaces.families.built_in import BUILT_IN
from toprung.spaces.families.registry import load_space


def test_parameters_come_in_order_of_appearance_with_their_distributions() -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {
            "width": trial.suggest_int("width", 8, 64, log=True),
            "rate": trial.suggest_float("rate", 0.0, 1.0),
            "head": trial.suggest_categorical("head", ["a", None]),
        }

    assert list(describe(space).items()) == [
        ("width", IntDistribution(8, 64, log=True)),
        ("rate", FloatDistribution(0.0, 1.0)),
        ("head", CategoricalDistribution(("a", None))),
    ]


def test_steps_and_the_branches_they_open_are_described() -> None:
    def space(trial: Any) -> dict[str, Any]:
        share = trial.suggest_float("share", 0.0, 1.0, step=0.25)
        deep = {"deep": trial.suggest_int("deep", 1, 9, step=4)} if share == 0.75 else {}
        return {"share": share, **deep}

    assert set(describe(space)) == {"share", "deep"}


def test_branches_with_different_bounds_are_described_by_the_widest() -> None:
    def space(trial: Any) -> dict[str, Any]:
        if trial.suggest_categorical("branch", ["a", "b"]) == "a":
            return {"x": trial.suggest_float("x", 0.0, 1.0), "c": trial.suggest_categorical("c", [1, 2])}
        return {"x": trial.suggest_float("x", 0.5, 3.0), "c": trial.suggest_categorical("c", [2, 3])}

    described = describe(space)
    assert described["x"] == FloatDistribution(0.0, 3.0)
    assert set(described["c"].choices) == {1, 2, 3}


@pytest.mark.parametrize("seed", range(4))  # which branch is seen first
def test_branches_with_different_scales_and_steps_are_described_without_either(seed: int) -> None:
    def space(trial: Any) -> dict[str, Any]:
        if trial.suggest_categorical("wide", [True, False]):
            return {"x": trial.suggest_float("x", 0.0, 1.0), "n": trial.suggest_int("n", 0, 10, step=5)}
        return {
            "x": trial.suggest_float("x", 1e-5, 1e-2, log=True),
            "n": trial.suggest_int("n", 1, 9, log=True),
        }

    described = describe(space, seed)
    assert described["x"] == FloatDistribution(0.0, 1.0)
    assert described["n"] == IntDistribution(0, 10)
    assert set(changing_parameters(space, seed)) == {"x", "n"}


@pytest.mark.parametrize("name", BUILT_IN)
def test_in_our_spaces_a_parameter_has_the_same_choices_and_scale_everywhere(name: str) -> None:
    assert changing_parameters(load_space(name)) == []


def test_rare_parameters_are_described_where_they_are_wanted() -> None:
    def space(trial: Any) -> dict[str, Any]:
        rare = {"alpha": trial.suggest_float("alpha", 0.1, 1.0)} if is_requested(trial, "alpha") else {}
        return {"width": trial.suggest_int("width", 1, 9), **rare}

    assert set(describe(space)) == {"width"}
    assert set(describe(space, with_rare=True)) == {"width", "alpha"}


def test_a_parameter_suggested_twice_keeps_its_value() -> None:
    trial = RecordingTrial(random.Random(0), {})
    assert trial.suggest_float("x", 0, 1) == trial.suggest_float("x", 0, 1)
    assert trial.suggest_int("n", 0, 1000) == trial.suggest_int("n", 0, 1000)
    assert trial.params.keys() == {"x", "n"}


def test_a_choice_that_tables_cannot_hold_is_refused() -> None:
    trial = RecordingTrial(random.Random(0), {})
    with pytest.raises(TypeError, match="filters: a choice must be a number, a text, True, False or None"):
        trial.suggest_categorical("filters", [[16, 32], [32, 64]])


def test_errors_of_a_space_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        describe(lambda trial: {"x": 1 / 0})


def test_bounds_without_end_and_a_name_of_two_kinds_are_refused() -> None:
    for high in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="rate: both bounds must be finite"):
            describe(lambda trial, high=high: {"rate": trial.suggest_float("rate", 0.0, high)})

    def twice(trial: Any) -> dict[str, Any]:
        trial.suggest_float("width", 0.0, 1.0)
        return {"width": trial.suggest_int("width", 0, 9)}

    with pytest.raises(ValueError, match="width: suggested twice in one configuration"):
        describe(twice)
