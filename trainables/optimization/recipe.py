"""The training recipe of a trial, read from its configuration: numbers the compiled step takes as input."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.recipe_vocabulary import (
    OPTIMIZERS,
    RECIPE,
    SCHEDULES,
    SETS,
    STANDARD,
    TECHNIQUES,
)
from toprung.spaces.errors import InputError, Problem
from toprung.spaces.user_code.references import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; none of it changes the model, and next to none of it the compiled step.

    `learning_rate` is the peak; `warmup_share` of all steps lead linearly up to it. From there `schedule` leads on:
    `cosine` down to `final_share` of it (1 keeps it constant), `step` to a tenth at one and again at two thirds of the
    way, `one_cycle` up from a 25th and along a cosine down while the momentum does the opposite (Smith 2018),
    `constant` nowhere, `plateau` to a third whenever three epochs in a row bring no lower training loss.

    `momentum` is SGD's (Nesterov) momentum and the first-moment decay of the others. `weight_decay` is decoupled for
    adamw and lion, L2 for the others, on kernels alone. `clip_norm` bounds the global gradient norm (infinity or 0:
    off). `ema` is the decay of an average of the weights, which is then what is evaluated and exported (0: off).
    `class_balance` weighs each image's loss by its class: by (images of the average class / images of its class) to
    this power, so 0 weighs all images alike and 1 all classes; where an image may have several labels, each label that
    it has by (images without the label / images with it) to this power.

    `patience_epochs` ends a trial when its validation metric was no better for that many epochs (0: never).

    `augment`, `flip`, `augment_set`, `augment_picks` and the switches `augment_NAME` (None: as the set says) are read
    by `trainables.augment`.
    """

    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_share: float = 0.05
    final_share: float = 0.0
    weight_decay: float = 0.0
    momentum: float = 0.9
    label_smoothing: float = 0.0
    clip_norm: float = math.inf
    ema: float = 0.0
    class_balance: float = 0.0
    patience_epochs: int = 0
    batch_size: int = 64
    augment: float = 0.0
    flip: bool = False
    augment_set: str = "standard"
    augment_picks: int = 0
    augment_rotation: bool | None = None
    augment_zoom: bool | None = None
    augment_translation: bool | None = None
    augment_crop: bool | None = None
    augment_contrast: bool | None = None
    augment_brightness: bool | None = None
    augment_saturation: bool | None = None
    augment_hue: bool | None = None
    augment_blur: bool | None = None
    augment_noise: bool | None = None
    augment_cutout: bool | None = None
    augment_mixup: bool | None = None
    augment_cutmix: bool | None = None

    @property
    def techniques(self) -> tuple[str, ...]:
        """The augmentation techniques that are on, beside the flip."""
        own = {name: getattr(self, f"augment_{name}") for name in TECHNIQUES}
        usual = SETS[self.augment_set]
        return tuple(name for name, is_on in own.items() if (name in usual if is_on is None else is_on))

    @property
    def augments_beyond_standard(self) -> bool:
        """Whether the augmentation needs more than the standard set offers: the one thing that is compiled in."""
        return self.augment_picks > 0 or not set(self.techniques) <= set(STANDARD)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Recipe:
        """The recipe `config` states, defaults for the rest; InputError names every value that cannot be."""
        recipe = cls(**{key: value for key, value in config.items() if key in RECIPE_KEYS})
        problems = list(_problems(recipe))
        if problems:
            raise InputError(problems)
        return recipe


RECIPE_KEYS = frozenset(field.name for field in fields(Recipe))


_NAMES: dict[str, Sequence[str]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "augment_set": tuple(SETS),
}


def _problems(recipe: Recipe) -> Iterator[Problem]:
    for name, known in _NAMES.items():
        value = getattr(recipe, name)
        if value not in known:
            hint = did_you_mean(str(value), known) or f"one of {', '.join(known)}"
            yield Problem(f"config.{name}", f"got {value!r}", hint)
    for name in TECHNIQUES:
        value = getattr(recipe, f"augment_{name}")
        if value not in (True, False, None):
            yield Problem(f"config.augment_{name}", f"got {value!r}", "must be true or false")
    for name, limit in RECIPE.items():
        value = getattr(recipe, name)
        if not limit.holds(value):
            yield Problem(f"config.{name}", f"got {value!r}", f"must be {limit}")


def structure_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What the recipe of a configuration compiles in, to tell structures apart; empty for the standard augmentation.

    A configuration that states an impossible recipe has none: the reset of its trial says why.
    """
    try:
        beyond = Recipe.from_config(config).augments_beyond_standard
    except InputError:
        return ()
    return ("augments beyond standard",) if beyond else ()
