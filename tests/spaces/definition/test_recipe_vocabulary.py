"""The names of the training recipe belong together, and the recipe that trains knows every one of them."""

from __future__ import annotations

from toprung.spaces.definition.recipe_vocabulary import (
    MIXES,
    OPTIMIZERS,
    RECIPE,
    SCHEDULES,
    SETS,
    STANDARD,
    TECHNIQUES,
)
from toprung.trainables.optimization.recipe import RECIPE_KEYS, Recipe


def test_no_name_stands_twice() -> None:
    for names in (OPTIMIZERS, SCHEDULES, TECHNIQUES):
        assert len(set(names)) == len(names)


def test_sets_are_made_of_techniques() -> None:
    assert all(set(names) <= set(TECHNIQUES) for names in SETS.values())
    assert SETS["standard"] == STANDARD
    assert not set(SETS["photo"]) & set(MIXES)
    assert set(SETS["mixed"]) == {*STANDARD, *MIXES}


def test_the_recipe_has_every_name_and_its_defaults_keep_to_the_limits() -> None:
    assert set(RECIPE) | {f"augment_{name}" for name in TECHNIQUES} <= RECIPE_KEYS
    default = Recipe()
    assert all(limit.holds(getattr(default, name)) for name, limit in RECIPE.items())
    for optimizer in OPTIMIZERS:
        for schedule in SCHEDULES:
            recipe = Recipe.from_config({"optimizer": optimizer, "schedule": schedule})
            assert (recipe.optimizer, recipe.schedule) == (optimizer, schedule)
