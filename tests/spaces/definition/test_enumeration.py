"""A space of few configurations is counted, any other is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.spaces.definition.enumeration import count_configurations
from toprung.spaces.families.registry import load_space


def conditional(trial: Any) -> dict[str, Any]:
    config = {"optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"])}
    if config["optimizer"] == "sgd":
        config["momentum"] = trial.suggest_float("momentum", 0.0, 0.9, step=0.3)
    return config


def test_only_the_branches_that_exist_are_counted() -> None:
    assert count_configurations(conditional, 100) == 1 + 4


def test_what_changes_nothing_in_the_configuration_is_not_counted() -> None:
    def space(trial: Any) -> dict[str, Any]:
        trial.suggest_int("unused", 1, 3)
        return {"a": trial.suggest_int("a", 1, 9, step=4)}

    assert count_configurations(space, 100) == 3


@pytest.mark.parametrize("at_most", [1, 4, 5])
def test_a_space_of_as_many_as_asked_for_or_more_is_not_counted(at_most: int) -> None:
    assert count_configurations(conditional, at_most) is None


def test_numbers_without_steps_have_no_end() -> None:
    assert count_configurations(lambda trial: {"a": trial.suggest_float("a", 0.0, 1.0)}, 10) is None
    assert count_configurations(load_space("cnn"), 100) is None


def test_a_space_that_fails_is_told_elsewhere() -> None:
    assert count_configurations(lambda trial: trial.params["none"], 10) is None


@given(st.lists(st.integers(1, 4), max_size=4))
def test_independent_choices_multiply(sizes: list[int]) -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {str(i): trial.suggest_categorical(str(i), list(range(size))) for i, size in enumerate(sizes)}

    product = 1
    for size in sizes:
        product *= size
    assert count_configurations(space, 1000) == product
