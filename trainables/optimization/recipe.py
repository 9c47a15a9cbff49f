"""The training recipe of a trial, read from its configuration: numbers the compiled step takes as input."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.recipe_vocabulary import (
    OPTIMIZERS,
    RECIPE,
    SCHEDULES,
    SETS,
    STANDARD,
    TECHNIQUES,
)
from toprung.spaces.errors import InputError, Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# The configuration's switch of each augmentation technique.
SWITCHES = {f"augment_{name}": name for name in TECHNIQUES}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; none of it changes the model, and very little of it the compiled step.

    learning_rate: the peak of the schedule.
    warmup_share: the share of all steps in which the learning rate climbs linearly to the peak.
    schedule: what follows. `cosine` falls to `final_share` of the peak (1 keeps it constant); `step` falls to a tenth
        after one third of the way and again after two thirds; `one_cycle` climbs from a 25th of the peak and falls
        along a cosine while the momentum does the opposite (Smith 2018); `constant` stays at the peak; `plateau`
        falls to a third whenever three epochs in a row bring no lower training loss.
    momentum: SGD's (Nesterov) momentum, and the first-moment decay of the other optimizers.
    weight_decay: of kernels alone; decoupled for adamw and lion, L2 for the others.
    clip_norm: the largest global norm of a gradient; infinity or 0 for no bound.
    ema: the decay of an average of the weights, which is then what is evaluated and exported; 0 for no average.
    class_balance: the power to which each image's loss is weighed by (images of the average class / images of its
        class): 0 weighs all images alike, 1 all classes. Where an image may have several labels, each label that it
        has is weighed by (images without the label / images with it) to this power.
    patience_epochs: the epochs without a better validation metric after which a trial ends; 0 for never.
    augment: the strength of the augmentation in [0, 1]; 0 leaves images as they are.
    flip: mirror half the images left to right.
    flip_average: the logits of an image and of its mirror image are averaged: wherever the model is evaluated, and in
        the exported model.
    augment_set: the set of techniques that are on, one of `SETS`.
    augment_picks: how many of them each image gets; 0 for all.
    switches: techniques that the configuration turns on or off by `augment_NAME`; None leaves one to the set.
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
    flip_average: bool = False
    augment_set: str = "standard"
    augment_picks: int = 0
    switches: Mapping[str, bool | None] = field(default_factory=dict)

    @property
    def techniques(self) -> tuple[str, ...]:
        """The augmentation techniques that are on, beside the flip, in the order of `TECHNIQUES`."""
        in_set = SETS[self.augment_set]
        switches = {name: self.switches.get(name) for name in TECHNIQUES}
        return tuple(name for name, is_on in switches.items() if (name in in_set if is_on is None else is_on))

    @property
    def augments_beyond_standard(self) -> bool:
        """Whether the augmentation needs more than the standard set: the one thing that is compiled into the step."""
        return self.augment_picks > 0 or not set(self.techniques) <= set(STANDARD)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Recipe:
        """The recipe of a configuration, with defaults for what it does not state.

        Raises:
            InputError: Values are impossible; it names all of them.
        """
        stated = {key: value for key, value in config.items() if key in RECIPE_KEYS - SWITCHES.keys()}
        switches = {name: config[key] for key, name in SWITCHES.items() if key in config}
        recipe = cls(**stated, switches=switches)
        problems = list(_problems(recipe))
        if problems:
            raise InputError(problems)
        return recipe


RECIPE_KEYS = frozenset(field.name for field in fields(Recipe) if field.name != "switches") | SWITCHES.keys()


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
    for name, value in recipe.switches.items():
        if value not in (True, False, None):
            yield Problem(f"config.augment_{name}", f"got {value!r}", "must be true or false")
    for name, bounds in RECIPE.items():
        value = getattr(recipe, name)
        if not bounds.holds(value):
            yield Problem(f"config.{name}", f"got {value!r}", f"must be {bounds}")


def structure_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What a configuration's recipe compiles into the step, as a part of the structure of its model.

    Empty for the standard augmentation. An impossible recipe adds nothing: the trial's reset raises and says why.
    """
    try:
        beyond = Recipe.from_config(config).augments_beyond_standard
    except InputError:
        return ()
    return ("augments beyond standard",) if beyond else ()
