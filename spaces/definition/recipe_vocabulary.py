"""The vocabulary of the training recipe: augmentation techniques and sets, schedules, bounds of its numbers."""

from __future__ import annotations

from collections.abc import Mapping

from toprung.spaces.definition.bounds import COUNT, POSITIVE, SHARE, Bounds

STANDARD = ("rotation", "zoom", "translation", "contrast", "brightness", "cutout")
MIXES = ("mixup", "cutmix")


TECHNIQUES = (*STANDARD, "crop", "saturation", "hue", "blur", "noise", *MIXES)
"""Every technique beside `flip`; the switch of each is the configuration's `augment_NAME`."""


SETS = {
    "standard": STANDARD,
    "photo": tuple(name for name in TECHNIQUES if name not in MIXES),
    "mixed": (*STANDARD, *MIXES),
    "chosen": (),
}
"""What is on where the configuration has no switch of its own: `augment_set` names one."""


# What the names of the training recipe can be, in every family: they mean the same in all of them.
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
    "augment_picks": Bounds(0, len(TECHNIQUES), whole=True),
}
SCHEDULES = ("cosine", "one_cycle", "step", "constant", "plateau")
