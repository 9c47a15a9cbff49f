"""How the training images are varied: one strength, which techniques take part, and how many of them an image gets.

The techniques are carried out by `trainables.augment`; here they are names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toprung.spaces.definition.overrides import is_requested
from toprung.spaces.definition.recipe_vocabulary import SETS, TECHNIQUES

FIRST_CONFIG: Mapping[str, Any] = {"augment": 0.2, "augment_set": "standard"}
"""Gentle; whether images may be mirrored depends on what they show."""


def space(trial: Any) -> dict[str, Any]:
    """Draw `augment`, a strength in [0, 1] where 0 leaves images untouched, and which techniques it drives.

    `flip` mirrors half the images left to right: right for photographs, wrong for digits. `augment_set` is
    `standard` (small moves, contrast, brightness, cutout), `photo` (that, crops, colour, blur and noise), `mixed`
    (standard, MixUp and CutMix) or `chosen`, where every technique has a switch `augment_NAME` of its own. Beyond
    the standard set `augment_picks` above 0 gives each image that many of the techniques, drawn anew for each
    (RandAugment, Cubuk et al. 2020: their N; their M is `augment`), 0 all of them. Picks and switches that the job
    names hold in every set.
    """
    kind = trial.suggest_categorical("augment_set", list(SETS))
    config = {
        "augment": trial.suggest_float("augment", 0.0, 1.0),
        "flip": trial.suggest_categorical("flip", [True, False]),
        "augment_set": kind,
    }
    if kind != "standard" or is_requested(trial, "augment_picks"):
        config["augment_picks"] = trial.suggest_int("augment_picks", 0, 3)
    switches = [f"augment_{name}" for name in TECHNIQUES]
    taken = [key for key in switches if kind == "chosen" or is_requested(trial, key)]
    return config | {key: trial.suggest_categorical(key, [True, False]) for key in taken}
