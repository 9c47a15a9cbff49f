"""What a number can be at all: a job may fix one outside the searched range, nothing trains outside these limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, NamedTuple, TypeVar

S = TypeVar("S", bound=Callable[..., Any])


class Limit(NamedTuple):
    """A number from `low` to `high`, both included; `whole` leaves out what is between two integers."""

    low: float = 0.0
    high: float = math.inf
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether `value` is such a number."""
        of_kind = isinstance(value, Integral) if self.whole else isinstance(value, int | float)
        return of_kind and bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:g}" + ("" if self.high == math.inf else f" to {self.high:g}")


SHARE = Limit(0.0, 1.0)
RATE = Limit(0.0, 0.99)  # of dropout: what is left is scaled up by 1 / (1 - rate)
COUNT = Limit(0, whole=True)
POSITIVE = Limit(1, whole=True)

# What the names of the training recipe can be, in every family: they mean the same in all of them.
RECIPE: Mapping[str, Limit] = {
    "learning_rate": Limit(),
    "warmup_share": SHARE,
    "final_share": SHARE,
    "weight_decay": Limit(),
    "momentum": Limit(0.0, 0.9999),
    "label_smoothing": Limit(0.0, 0.999),
    "clip_norm": Limit(),
    "batch_size": POSITIVE,
    "ema": Limit(0.0, 0.99999),
    "class_balance": SHARE,
    "patience_epochs": COUNT,
    "augment": SHARE,
    "augment_picks": COUNT,
}


def limited(**limits: Limit) -> Callable[[S], S]:
    """Mark a space function: the parameters named here have these limits, beside those of the recipe."""

    def mark(space: S) -> S:
        vars(space)["limits"] = limits
        return space

    return mark


def limits_of(space: Any) -> Mapping[str, Limit]:
    """The limits of the numbers a space draws."""
    return {**RECIPE, **getattr(space, "limits", {})}
