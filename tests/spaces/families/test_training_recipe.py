"""The training recipe: which of its parameters are searched, and which exist only where a job names them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from toprung.spaces.definition.introspection import RecordingTrial, describe
from toprung.spaces.definition.overrides import Interval, OverriddenTrial
from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS, RECIPE, SCHEDULES
from toprung.spaces.families import training_recipe
from toprung.spaces.families.training_recipe import USEFUL_RANGES

ALWAYS = {
    "optimizer", "learning_rate", "schedule", "warmup_share", "weight_decay", "momentum", "label_smoothing",
    "clip_norm", "ema", "class_balance", "batch_size",
}  # fmt: skip


def drawn(
    fixed: dict[str, Any], ranges: dict[str, Any], seed: int = 0
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration, and the values that were suggested for it."""
    inner = RecordingTrial(random.Random(seed), {})
    return training_recipe.space(OverriddenTrial(inner, fixed, ranges)), inner.params


def test_every_name_of_the_vocabulary_can_be_drawn() -> None:
    described = describe(training_recipe.space)
    assert set(described) == ALWAYS
    assert described["optimizer"].choices == OPTIMIZERS
    assert described["schedule"].choices == SCHEDULES
    assert set(describe(training_recipe.space, with_rare=True)) == {*ALWAYS, "patience_epochs"}


@pytest.mark.parametrize("seed", range(20))
def test_every_draw_keeps_to_the_limits_of_the_recipe(seed: int) -> None:
    config, _ = drawn({}, {}, seed)
    assert set(config) == (ALWAYS if config["optimizer"] == "sgd" else ALWAYS - {"momentum"})
    assert all(RECIPE[name].holds(value) for name, value in config.items() if name in RECIPE)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_sgd_has_a_momentum_and_the_others_none_that_looks_chosen(optimizer: str) -> None:
    config, suggested = drawn({"optimizer": optimizer}, {})
    assert ("momentum" in suggested) == ("momentum" in config) == (optimizer == "sgd")
    assert config.get("momentum") == suggested.get("momentum")


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_momentum_that_the_job_names_is_that_of_every_optimizer(optimizer: str) -> None:
    assert drawn({"optimizer": optimizer, "momentum": 0.5}, {})[0]["momentum"] == 0.5
    config, suggested = drawn({"optimizer": optimizer}, {"momentum": Interval(0.8, 0.82)})
    assert config["momentum"] == suggested["momentum"] <= 0.82


def test_patience_exists_where_the_job_names_it() -> None:
    assert drawn({"patience_epochs": 7}, {})[0]["patience_epochs"] == 7
    assert "patience_epochs" not in drawn({}, {})[0]


def test_the_first_configuration_is_one_of_the_space() -> None:
    config, suggested = drawn(dict(training_recipe.FIRST_CONFIG), {})
    assert config.items() >= training_recipe.FIRST_CONFIG.items()
    assert not set(suggested) & set(training_recipe.FIRST_CONFIG)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_rates_and_decays_are_those_at_which_the_optimizer_trains(optimizer: str) -> None:
    useful = USEFUL_RANGES[optimizer]
    for seed in range(30):
        config, _ = drawn({"optimizer": optimizer}, {}, seed)
        assert useful.learning_rate[0] <= config["learning_rate"] <= useful.learning_rate[1]
        assert useful.weight_decay[0] <= config["weight_decay"] <= useful.weight_decay[1]
    wider = [
        drawn({"optimizer": optimizer}, {"learning_rate": Interval(0.2, 0.9)}, seed)[0] for seed in range(5)
    ]
    assert all(0.2 <= config["learning_rate"] <= 0.9 for config in wider), "a job widens for every optimizer"
