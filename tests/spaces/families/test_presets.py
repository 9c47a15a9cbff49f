"""Well-known small CNNs: spaces with a fixed architecture, and fixed values of the CNN space."""

from __future__ import annotations

import random
from typing import Any

import pytest

from toprung.spaces.definition.introspection import RecordingTrial, describe
from toprung.spaces.definition.recipe_vocabulary import RECIPE
from toprung.spaces.errors import InputError
from toprung.spaces.families.built_in import BUILT_IN
from toprung.spaces.families.presets import PRESETS
from toprung.spaces.families.registry import load_space


def drawn(space: Any, seed: int = 0) -> dict[str, Any]:
    config: dict[str, Any] = space(RecordingTrial(random.Random(seed), {}))
    return config


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_space_of_its_own_and_fixed_values_of_the_cnn_space(name: str) -> None:
    preset = PRESETS[name]
    as_space = drawn(load_space(name))
    as_fixed = drawn(load_space("cnn", fixed=preset.config))
    assert as_space.items() >= preset.architecture.items()
    assert as_fixed.items() >= preset.config.items()
    differing = set(as_space) ^ set(as_fixed)
    assert differing <= {"momentum"}, "the recipe is searched, the architecture is fixed"


@pytest.mark.parametrize("name", PRESETS)
def test_the_space_of_a_preset_searches_nothing_but_recipe_and_augmentation(name: str) -> None:
    beside = {"optimizer", "schedule", "flip", "augment_set"}
    searched = describe(load_space(name))
    assert {key for key in searched if not key.startswith("augment_")} <= {*RECIPE, *beside}
    assert name in BUILT_IN


@pytest.mark.parametrize("name", PRESETS)
def test_the_published_recipe_is_tried_first(name: str) -> None:
    assert load_space(name).first_configs == (PRESETS[name].recipe,)


def test_a_presets_recipe_can_be_narrowed_and_its_architecture_not() -> None:
    assert drawn(load_space("cnn_small", fixed={"learning_rate": 1e-3}))["learning_rate"] == 1e-3
    with pytest.raises(InputError, match=r"space\.fixed\.dense_units: the space has no such parameter"):
        load_space("cnn_small", fixed={"dense_units": 5})
