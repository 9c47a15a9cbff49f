"""The training recipe of a trial, read from its configuration: numbers the compiled step takes as input."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from spaces.problem import InputError, Problem
from spaces.reference import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop", "lion")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; none of it changes the graph, so none of it needs a new trace.

    `learning_rate` is the peak; `warmup_share` of all steps lead linearly up to it, a cosine leads down to
    `final_share` of it (1 keeps it constant). `momentum` is SGD's momentum and the first-moment decay of the
    others. `weight_decay` is decoupled for adamw and lion, L2 for the others, on kernels alone. `clip_norm`
    bounds the global gradient norm (infinity: off). `augment` and `flip` are read by `trainables.augment`.
    """

    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup_share: float = 0.05
    final_share: float = 0.0
    weight_decay: float = 0.0
    momentum: float = 0.9
    label_smoothing: float = 0.0
    clip_norm: float = math.inf
    batch_size: int = 64
    augment: float = 0.0
    flip: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Recipe:
        """The recipe `config` states, defaults for the rest; InputError names every value that cannot be."""
        recipe = cls(**{key: value for key, value in config.items() if key in RECIPE_KEYS})
        problems = list(_problems(recipe))
        if problems:
            raise InputError(problems)
        return recipe


RECIPE_KEYS = frozenset(field.name for field in fields(Recipe))

# name -> (lowest, highest) allowed, both included
_BOUNDS = {
    "learning_rate": (0.0, math.inf),
    "warmup_share": (0.0, 1.0),
    "final_share": (0.0, 1.0),
    "weight_decay": (0.0, math.inf),
    "momentum": (0.0, 0.9999),
    "label_smoothing": (0.0, 0.999),
    "clip_norm": (0.0, math.inf),
    "batch_size": (1, math.inf),
    "augment": (0.0, 1.0),
}


def _problems(recipe: Recipe) -> Iterator[Problem]:
    if recipe.optimizer not in OPTIMIZERS:
        hint = did_you_mean(str(recipe.optimizer), OPTIMIZERS) or f"one of {', '.join(OPTIMIZERS)}"
        yield Problem("config.optimizer", f"got {recipe.optimizer!r}", hint)
    for name, (low, high) in _BOUNDS.items():
        value = getattr(recipe, name)
        if not isinstance(value, int | float) or not low <= value <= high:
            yield Problem(f"config.{name}", f"got {value!r}", f"must be a number within [{low}, {high}]")
