"""The names of the training recipe: optimizers, schedules, augmentation techniques and sets, limits of its numbers.

Spaces draw from these names. A new optimizer or technique is a name here and a function registered for it in
`toprung.trainables.optimization.optimizers` or `toprung.trainables.augment.stages`.
"""

from __future__ import annotations

from collections.abc import Mapping

from toprung.spaces.definition.bounds import COUNT, POSITIVE, SHARE, Bounds

OPTIMIZERS = ("adamw", "sgd", "adam", "rmsprop", "lion")
SCHEDULES = ("cosine", "one_cycle", "step", "constant", "plateau")

STANDARD = ("rotation", "zoom", "translation", "contrast", "brightness", "cutout")
COLOR_ONLY = ("saturation", "hue")  # they do nothing to grey images
MIXES = ("mixup", "cutmix")  # they combine two images


TECHNIQUES = (*STANDARD, "crop", *COLOR_ONLY, "blur", "noise", *MIXES)
"""Every augmentation technique beside `flip`; `augment_NAME` of a configuration switches each on or off."""


SETS = {
    "standard": STANDARD,
    "photo": tuple(name for name in TECHNIQUES if name not in MIXES),
    "mixed": (*STANDARD, *MIXES),
    "chosen": (),
}
"""Value of `augment_set` -> the techniques that are on where the configuration has no switch for them."""


RECIPE: Mapping[str, Bounds] = {
    "learning_rate": Bounds(),
    "warmup_share": SHARE,
    "final_share": SHARE,
    "weight_decay": Bounds(),
    "momentum": Bounds(0.0, 0.9999),
    "label_smoothing": Bounds(0.0, 0.999),
    "clip_norm": Bounds(),
    "batch_size": POSITIVE,
    "ema": Bounds(0.0, 0.99999),
    "class_balance": SHARE,
    "patience_epochs": COUNT,
    "augment": SHARE,
    "augment_picks": Bounds(0, len(TECHNIQUES), integer=True),
}
"""Numeric parameter of the recipe -> its limits. The names mean the same in every model family."""
