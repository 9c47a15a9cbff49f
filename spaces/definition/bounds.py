"""What a number can be at all: a job may fix one outside the searched range, nothing trains outside these limits."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, NamedTuple


class Bounds(NamedTuple):
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


SHARE = Bounds(0.0, 1.0)
RATE = Bounds(0.0, 0.99)  # of dropout: what is left is scaled up by 1 / (1 - rate)
COUNT = Bounds(0, whole=True)
POSITIVE = Bounds(1, whole=True)
