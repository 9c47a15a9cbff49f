"""The training recipe a configuration states, and which keys need a rebuilt model."""

from __future__ import annotations

import random

import pytest

from toprung.spaces.definition.introspection import RecordingTrial
from toprung.spaces.definition.recipe_vocabulary import SETS, STANDARD
from toprung.spaces.errors import InputError
from toprung.spaces.families import augmentation, training_recipe
from toprung.trainables.models.family import load_family, structural_signature
from toprung.trainables.optimization.recipe import RECIPE_KEYS, Recipe
from toprung.trainables.task.task import Task

TASK = Task((8, 8, 1), ("a", "b"), 1, None, None)


class OneFileFamily:
    def space(self, trial):
        return {}

    def build(self, config, task):
        return None


def test_what_is_not_stated_has_its_default() -> None:
    recipe = Recipe.from_config({"learning_rate": 0.5, "filters": 8})
    assert recipe == Recipe(learning_rate=0.5)


def test_every_impossible_value_is_named_at_once() -> None:
    config = {
        "optimizer": "adamm",
        "learning_rate": -1.0,
        "batch_size": 0,
        "augment": 2.0,
        "momentum": float("nan"),
    }
    with pytest.raises(InputError) as caught:
        Recipe.from_config(config)
    assert {problem.where for problem in caught.value.problems} == {f"config.{key}" for key in config}
    assert 'did you mean "adam"?' in str(caught.value)


def test_a_recipe_is_never_part_of_the_structure() -> None:
    family = OneFileFamily()
    one = structural_signature(family, {"units": 3, "optimizer": "sgd", "batch_size": 8}, TASK)
    other = structural_signature(family, {"units": 3, "optimizer": "adamw", "learning_rate": 0.1}, TASK)
    assert one == other


def test_the_set_decides_what_is_on_and_a_switch_overrules_it() -> None:
    assert Recipe().techniques == STANDARD
    assert not Recipe.from_config({"augment_blur": False}).augments_beyond_standard
    switched = {"augment_set": "chosen", "augment_hue": True, "augment_zoom": False}
    assert Recipe.from_config(switched).techniques == ("hue",)
    without = Recipe.from_config({"augment_set": "photo", "augment_blur": False})
    assert set(without.techniques) == set(SETS["photo"]) - {"blur"}


def test_only_augmentation_beyond_the_standard_set_is_structural() -> None:
    def signature(**config: object) -> tuple:
        return structural_signature(OneFileFamily(), config, TASK)

    plain = {signature(), signature(augment_set="standard", augment=0.5), signature(augment_cutout=False)}
    beyond = {
        signature(augment_set="photo"),
        signature(augment_set="mixed", augment_picks=2, ema=0.99),
        signature(augment_hue=True),
        signature(augment_picks=1, class_balance=1.0),
    }
    assert len(plain) == len(beyond) == 1
    assert plain != beyond


def test_wrong_names_and_switches_are_named_at_once() -> None:
    config = {
        "schedule": "cosin",
        "augment_set": "photos",
        "augment_hue": 0.3,
        "ema": 1.0,
        "class_balance": -1,
        "augment_picks": 14,
    }
    with pytest.raises(InputError) as caught:
        Recipe.from_config(config)
    assert {problem.where for problem in caught.value.problems} == {f"config.{key}" for key in config}


@pytest.mark.parametrize("seed", range(20))
def test_every_draw_of_the_space_is_a_recipe(seed: int) -> None:
    trial = RecordingTrial(random.Random(seed), {})
    config = {**augmentation.space(trial), **training_recipe.space(trial)}
    assert set(config) <= RECIPE_KEYS
    assert set(trial.params) <= set(config)
    Recipe.from_config(config)


def test_an_unknown_key_is_structural_unless_the_family_calls_it_dynamic() -> None:
    family = OneFileFamily()
    assert structural_signature(family, {"rate": 1}, TASK) != structural_signature(family, {"rate": 2}, TASK)
    family.dynamic = {"rate"}
    assert structural_signature(family, {"rate": 1}, TASK) == structural_signature(family, {"rate": 2}, TASK)


def test_image_shape_and_classes_are_structural() -> None:
    larger = Task((16, 16, 1), ("a", "b"), 1, None, None)
    more = Task((8, 8, 1), ("a", "b", "c"), 1, None, None)
    signatures = {structural_signature(OneFileFamily(), {}, task) for task in (TASK, larger, more)}
    assert len(signatures) == 3


def test_a_family_in_one_file_is_loaded_and_an_incomplete_one_refused(tmp_path) -> None:
    path = tmp_path / "families_in_a_file.py"
    path.write_text(
        "class Whole:\n    def space(self, trial): return {}\n    def build(self, config, task): ...\n"
        "class Half:\n    def space(self, trial): return {}\n"
    )
    assert load_family(f"{path}:Whole").space(None) == {}
    with pytest.raises(InputError, match="lacks build"):
        load_family(f"{path}:Half")
    with pytest.raises(InputError, match="did you mean"):
        load_family("cnnn")
