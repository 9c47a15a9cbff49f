"""How training images are varied: one strength, which techniques take part, and how many of them an image gets.

`trainables.augment` carries the techniques out; here they are names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toprung.spaces.definition.recipe_vocabulary import SETS, TECHNIQUES
from toprung.spaces.definition.trial import OptunaTrial, Value, is_requested

FIRST_CONFIG: Mapping[str, Value] = {"augment": 0.2, "augment_set": "standard"}
"""Gentle. `flip` is left out: whether images may be mirrored depends on what they show."""


def space(trial: OptunaTrial) -> dict[str, Any]:
    """Draw the strength `augment`, of 0 to 1 where 0 leaves images unchanged, and the techniques it applies to.

    Above 0.6, short trainings on the data sets at hand end near chance; a job may name such strengths.

    `flip` mirrors half the images left to right: right for photographs, wrong for digits. `flip_average`, the mean over
    an image and its mirror image as the answer, goes with it unless the job names it.

    `augment_set` is `standard` (small moves, contrast, brightness, cutout), `photo` (those, crops, colour, blur and
    noise), `mixed` (standard, MixUp and CutMix) or `chosen`, where a switch `augment_NAME` turns each technique on or
    off. In the other sets there is a switch where the job names it.

    `augment_picks` above 0 gives each image that many of the techniques, drawn anew for each image: N of RandAugment
    (Cubuk et al. 2020), whose M is `augment`. 0 gives it all of them. In the standard set it exists only where the
    job names it.
    """
    augment_set = trial.suggest_categorical("augment_set", list(SETS))
    config: dict[str, Any] = {
        "augment": trial.suggest_float("augment", 0.0, 1.0 if is_requested(trial, "augment") else 0.6),
        "flip": trial.suggest_categorical("flip", [True, False]),
        "augment_set": augment_set,
    }
    config["flip_average"] = config["flip"] and config["augment"] > 0.0
    if is_requested(trial, "flip_average"):
        config["flip_average"] = trial.suggest_categorical("flip_average", [True, False])
    if augment_set != "standard" or is_requested(trial, "augment_picks"):
        config["augment_picks"] = trial.suggest_int("augment_picks", 0, 3)
    switches = [f"augment_{name}" for name in TECHNIQUES]
    in_use = [switch for switch in switches if augment_set == "chosen" or is_requested(trial, switch)]
    return config | {switch: trial.suggest_categorical(switch, [True, False]) for switch in in_use}
