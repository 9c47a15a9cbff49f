"""Limits of numeric parameters: a job may fix a number outside the searched range, but not outside these."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """The numbers from `low` to `high`, both included; with `integer` the whole numbers alone."""

    low: float = 0.0
    high: float = math.inf
    integer: bool = False

    def holds(self, value: Any) -> bool:
        """Whether `value` is such a number; NaN is not."""
        is_number = isinstance(value, Integral) if self.integer else isinstance(value, int | float)
        return is_number and bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        number = "a whole number" if self.integer else "a number"
        return f"{number} from {self.low:g}" + ("" if self.high == math.inf else f" to {self.high:g}")


SHARE = Bounds(0.0, 1.0)
RATE = Bounds(0.0, 0.99)  # of dropout: what remains is scaled up by 1 / (1 - rate)
COUNT = Bounds(0, integer=True)
POSITIVE = Bounds(1, integer=True)
