"""Conditions of a define-by-run space: when a parameter exists, found from random walks and read back from text."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.spaces.definition.conditions import Condition, Term, condition_of, walks_through
from toprung.spaces.definition.introspection import RecordingTrial


def branching(trial: Any) -> dict[str, Any]:
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "lion", 'it\'s "odd" and more'])
    config = {"optimizer": optimizer, "blocks": trial.suggest_int("blocks", 1, 4)}
    if optimizer in ("sgd", "lion"):
        config["momentum"] = trial.suggest_float("momentum", 0.0, 1.0)
    if optimizer == "sgd":
        config["nesterov"] = trial.suggest_categorical("nesterov", [True, False])
        if config["nesterov"]:
            config["damping"] = trial.suggest_float("damping", 0.0, 1.0)
    if config["blocks"] >= 3:
        config["skip"] = trial.suggest_categorical("skip", ["add", None])
        if optimizer == "adam":
            config["both"] = trial.suggest_float("both", 0.0, 1.0)
    return config


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("optimizer", ""),
        ("momentum", "optimizer in ['lion', 'sgd']"),
        ("nesterov", "optimizer == 'sgd'"),
        ("damping", "nesterov == True"),
        ("skip", "blocks >= 3"),
    ],
)
def test_a_condition_is_found_from_random_walks(name: str, text: str) -> None:
    walks, _ = walks_through(branching)
    assert str(condition_of(name, [walk.params for walk in walks])) == text


@given(st.integers(0, 10**6))
def test_the_conditions_found_say_of_any_draw_which_parameters_exist(seed: int) -> None:
    walks, distributions = walks_through(branching)
    drawn = RecordingTrial(random.Random(seed), {})
    branching(drawn)
    for name in distributions:
        condition = condition_of(name, [walk.params for walk in walks])
        assert condition is not None
        assert Condition.parse(str(condition)) == condition
        assert condition.holds(drawn.params) == (name in drawn.params), name


def test_no_condition_is_guessed_where_few_comparisons_do_not_tell() -> None:
    def odd_sum(trial: Any) -> dict[str, Any]:
        a, b = trial.suggest_int("a", 0, 5), trial.suggest_int("b", 0, 5)
        return {"a": a, "b": b, **({"c": trial.suggest_float("c", 0, 1)} if (a + b) % 2 else {})}

    walks, _ = walks_through(odd_sum)
    assert condition_of("c", [walk.params for walk in walks]) is None


def test_a_text_that_is_no_comparison_is_refused_and_nothing_in_it_runs() -> None:
    with pytest.raises(ValueError, match="no comparison"):
        Condition.parse("__import__('os')")
    assert Condition.parse("unknown") == Condition.parse(None) == Condition()
    assert not Condition((Term("a", "==", 1),)).holds({})
