"""Augmentation: the techniques of a set, and the switches and picks that a job names."""

from __future__ import annotations

import random
from typing import Any

import pytest

from toprung.spaces.definition.introspection import RecordingTrial
from toprung.spaces.definition.recipe_vocabulary import SETS, TECHNIQUES
from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space


def drawn(**fixed: Any) -> dict[str, Any]:
    return load_space("cnn", fixed=fixed)(RecordingTrial(random.Random(0), {}))


@pytest.mark.parametrize("name", SETS)
def test_techniques_and_picks_that_the_job_names_hold_in_every_set(name: str) -> None:
    named = {"augment_hue": False, "augment_mixup": True, "augment_picks": 2}
    config = drawn(augment_set=name, **named)
    assert config.items() >= named.items()
    assert ("augment_crop" in config) == (name == "chosen"), "what the job does not name is as it was"


@pytest.mark.parametrize("name", SETS)
def test_only_a_chosen_set_has_a_switch_for_every_technique(name: str) -> None:
    config = drawn(augment_set=name)
    switches = {
        key for key, value in config.items() if key.startswith("augment_") and isinstance(value, bool)
    }
    assert switches == ({f"augment_{technique}" for technique in TECHNIQUES} if name == "chosen" else set())
    assert ("augment_picks" in config) == (name != "standard")


def test_an_image_gets_at_most_all_techniques() -> None:
    count = len(TECHNIQUES)
    assert drawn(augment_set="photo", augment_picks=count)["augment_picks"] == count
    with pytest.raises(InputError, match=f"got {count + 1}; must be a whole number from 0 to {count}"):
        drawn(augment_picks=count + 1)
    for outside in ([0, count + 1], {"choices": [1, count + 1]}):
        with pytest.raises(InputError, match=r"space\.ranges\.augment_picks"):
            load_space("cnn", ranges={"augment_picks": outside})


def test_a_model_trained_with_flips_averages_over_them_unless_the_job_says_otherwise() -> None:
    assert drawn(flip=True, augment=0.2)["flip_average"] is True
    assert drawn(flip=False)["flip_average"] is False
    assert drawn(flip=True, augment=0.0)["flip_average"] is False, (
        "at strength 0 no training image was mirrored"
    )
    assert drawn(flip=True, augment=0.2, flip_average=False)["flip_average"] is False
    searched = load_space("cnn", ranges={"flip_average": [True, False]})
    assert {searched(RecordingTrial(random.Random(seed), {}))["flip_average"] for seed in range(20)} == {
        True,
        False,
    }
