"""A trial with a job's fixed values and ranges: the wrapped trial sees only what is left to draw."""

from __future__ import annotations

import random
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from toprung.spaces.definition.introspection import RecordingTrial
from toprung.spaces.definition.overrides import Choices, Interval, OverriddenTrial
from toprung.spaces.definition.trial import is_requested

optuna.logging.set_verbosity(optuna.logging.WARNING)


def new_trial(fixed: dict[str, Any], ranges: dict[str, Any]) -> tuple[OverriddenTrial, dict[str, Any]]:
    """A trial, and the distributions that the wrapped trial is going to see."""
    seen: dict[str, Any] = {}
    return OverriddenTrial(RecordingTrial(random.Random(0), seen), fixed, ranges), seen


def test_a_fixed_parameter_never_reaches_the_wrapped_trial() -> None:
    trial, seen = new_trial({"rate": 0, "blocks": 3.0, "head": "flatten"}, {})
    rate = trial.suggest_float("rate", 0.1, 1.0)
    blocks = trial.suggest_int("blocks", 1, 4)
    assert (rate, type(rate)) == (0.0, float)
    assert (blocks, type(blocks)) == (3, int)
    assert trial.suggest_categorical("head", ["average", "flatten"]) == "flatten"
    assert seen == {}


def test_a_range_takes_the_place_of_the_bounds_and_keeps_scale_and_step() -> None:
    trial, seen = new_trial(
        {}, {"rate": Interval(1e-3, 1e-2), "blocks": Interval(2, 6), "head": Choices(("a",))}
    )
    trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    trial.suggest_int("blocks", 0, 8, step=2)
    trial.suggest_categorical("head", ["a", "b"])
    assert seen == {
        "rate": FloatDistribution(1e-3, 1e-2, log=True),
        "blocks": IntDistribution(2, 6, step=2),
        "head": CategoricalDistribution(("a",)),
    }


def test_a_number_from_a_list_is_one_of_the_list() -> None:
    trial, seen = new_trial({}, {"rate": Choices((0.1, 1)), "blocks": Choices((2, 3))})
    assert trial.suggest_float("rate", 0.0, 2.0) in (0.1, 1.0)
    assert trial.suggest_int("blocks", 1, 4) in (2, 3)
    assert set(seen.values()) == {CategoricalDistribution((0.1, 1)), CategoricalDistribution((2, 3))}


def test_anything_else_is_the_wrapped_trials() -> None:
    inner = optuna.create_study().ask()
    trial = OverriddenTrial(inner, {}, {})
    assert trial.number == inner.number
    trial.suggest_float("free", 0.0, 1.0)
    assert trial.params == inner.params and "free" in inner.params


@pytest.mark.parametrize(
    ("name", "requested"), [("fixed", True), ("range", True), ("deeper", True), ("other", False)]
)
def test_a_parameter_is_requested_where_any_layer_names_it(name: str, requested: bool) -> None:
    inner, _ = new_trial({"deeper": 1}, {})
    trial = OverriddenTrial(inner, {"fixed": 1}, {"range": Interval(0, 1)})
    assert is_requested(trial, name) is requested


def test_an_optuna_trial_requests_nothing() -> None:
    assert not is_requested(optuna.create_study().ask(), "alpha")
