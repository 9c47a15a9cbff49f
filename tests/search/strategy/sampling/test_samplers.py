"""Draws from a space: a function of the seed and of the history, with every sampler."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any

import numpy as np
import pytest
from optuna.samplers import RandomSampler

from toprung.search.strategy.sampling.optuna_samplers import OPTUNA_SAMPLERS
from toprung.search.strategy.sampling.points import Observation
from toprung.search.strategy.sampling.samplers import check_sampler, locate_in_space, sample
from toprung.spaces.errors import InputError

WITHOUT_TORCH = sorted(OPTUNA_SAMPLERS.keys() - {"gp"})


def plain_random(seed: int) -> RandomSampler:
    """A user's own sampler, found as module:function."""
    return RandomSampler(seed=seed)


class Wearing(RandomSampler):
    """A user's sampler that works at first."""

    def __init__(self, draws: Callable[[], float]) -> None:
        super().__init__()
        self.draws = draws

    def sample_independent(self, *_: Any) -> Any:
        return self.draws()


def leaving(seed: int) -> RandomSampler:
    return Wearing(lambda: sys.exit(0))


def raising(seed: int) -> RandomSampler:
    return Wearing(lambda: 1 / 0)


def drawing_nan(seed: int) -> RandomSampler:
    return Wearing(lambda: math.nan)


def history_of(space: Any, count: int) -> list[Observation]:
    points = [sample(space, "random", 1, number) for number in range(count)]
    return [Observation(number, point, -point.config["rate"]) for number, point in enumerate(points)]


@pytest.mark.parametrize("sampler", WITHOUT_TORCH)
def test_the_same_arguments_give_the_same_point(sampler: str, conditional_space: Any) -> None:
    history = history_of(conditional_space, 30)
    first = sample(conditional_space, sampler, 5, 40, history)
    assert sample(conditional_space, sampler, 5, 40, list(reversed(history))) == first
    assert sample(conditional_space, sampler, 6, 40, history) != first
    assert sample(conditional_space, sampler, 5, 41, history) != first


@pytest.mark.parametrize("sampler", [name for name in WITHOUT_TORCH if OPTUNA_SAMPLERS[name].uses_results])
def test_models_draw_where_the_scores_are_better(sampler: str, conditional_space: Any) -> None:
    history = history_of(conditional_space, 60)
    rates = [
        sample(conditional_space, sampler, 0, number, history).config["rate"] for number in range(60, 90)
    ]
    # Random rates are log-uniform on [1e-4, 1e-1], half of them below 3e-3. With 30 draws, 23 or more below have a
    # chance of 0.003 by luck; the score is the smallness of the rate, so a model passes it easily.
    assert sum(rate < 10**-2.5 for rate in rates) >= 23


def test_conditional_parameters_are_modelled_without_warnings_of_independent_sampling(
    conditional_space: Any, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    logging.getLogger("optuna").propagate = True
    for sampler in ("tpe", "cmaes"):
        config = sample(conditional_space, sampler, 0, 60, history_of(conditional_space, 40)).config
        assert ("layers" in config) == (config["family"] == "deep")
    assert not caplog.records and not recwarn.list


def test_a_users_sampler_is_found_by_module_and_function(conditional_space: Any) -> None:
    check_sampler("optuna.samplers:RandomSampler")
    drawn = sample(conditional_space, "optuna.samplers:RandomSampler", 0, 0)
    assert set(drawn.config) >= {"family", "rate"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("leaving", "SystemExit: 0 (test_samplers.py line "),
        ("raising", "ZeroDivisionError: division by zero (test_samplers.py line "),
        ("drawing_nan", "ValueError: `nan` is invalid value."),
    ],
)
def test_a_users_sampler_that_fails_in_a_draw_is_named_and_ends_no_search_as_if_it_were_done(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "users_samplers", sys.modules[__name__])
    with pytest.raises(InputError, match=r"^search\.sampler: users_samplers:") as refused:
        sample(lambda trial: {"rate": trial.suggest_float("rate", 0.0, 1.0)}, f"users_samplers:{name}", 0, 0)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "grid",
        ":f",
        "no_such_module:f",
        "optuna.samplers:no_such_function",
        "os:getcwd",  # takes no seed
        "os:sep",  # cannot be called
        "builtins:str",  # returns no sampler
    ],
)
def test_an_unknown_sampler_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError, match=r"search\.sampler"):
        check_sampler(name)


def test_a_configuration_is_located_with_its_parameters_unless_the_space_does_not_allow_it(
    conditional_space: Any,
) -> None:
    point = sample(conditional_space, "random", 0, 0)
    assert locate_in_space(conditional_space, point.config) == point
    assert locate_in_space(conditional_space, {**point.config, "rate": 7.0}) is None
    assert locate_in_space(conditional_space, {"family": point.config["family"]}) is None


def test_a_value_that_makes_the_space_raise_is_not_allowed() -> None:
    def space(trial: Any) -> dict[str, Any]:
        depth = trial.suggest_int("depth", 1, 3)
        return {"depth": depth, "units": (8, 16, 32)[depth - 1]}

    assert locate_in_space(space, {"depth": 5, "units": 32}) is None


def test_what_a_space_computed_with_numpy_is_a_plain_number_in_the_configuration() -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {"units": np.int64(2) ** trial.suggest_int("units", 3, 9), "rate": np.float64(0.5)}

    assert {name: type(value) for name, value in sample(space, "random", 0, 0).config.items()} == {
        "units": int,
        "rate": float,
    }


def test_a_choice_from_an_enumeration_of_texts_is_its_text() -> None:
    class Head(StrEnum):
        AVERAGE = "average"

    class Kind(str, Enum):  # noqa: UP042
        MAX = "max"

    def space(trial: Any) -> dict[str, Any]:
        return {
            "head": trial.suggest_categorical("head", list(Head)),
            "pool": trial.suggest_categorical("pool", list(Kind)),
        }

    config = sample(space, "random", 0, 0).config
    assert config == {"head": "average", "pool": "max"}
    assert {type(value) for value in config.values()} == {str}
