"""The parameters of a space that leave a choice, each on the scale from 0 to 1 on which the model sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from toprung.spaces.definition.conditions import Condition

MISSING = -1.0  # the feature of a parameter that a trial does not have: outside of the unit interval


@dataclass(frozen=True)
class Parameter:
    """One parameter of the space that leaves a choice.

    Attributes:
        name: Its name.
        low: Its bounds; 0 and the number of choices - 1 where it is categorical.
        high: See `low`.
        log: Whether its scale is logarithmic.
        integer: Whether it takes whole numbers alone.
        choices: The choices of a categorical parameter; empty for a number.
        condition: When it exists.
    """

    name: str
    low: float
    high: float
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] = ()
    condition: Condition = field(default_factory=Condition)

    def unit(self, value: Any) -> float:
        """The value as a number from 0 to 1; MISSING for a value that the parameter cannot have."""
        if self.choices:
            matching = [
                i for i, choice in enumerate(self.choices) if choice == value and type(choice) is type(value)
            ]
            return matching[0] / max(1, len(self.choices) - 1) if matching else MISSING
        try:
            number, low, high = (
                math.log(one) if self.log else float(one) for one in (value, self.low, self.high)
            )
        except (TypeError, ValueError):
            return MISSING
        return min(1.0, max(0.0, (number - low) / (high - low))) if high > low else 0.5

    def value(self, unit: float) -> Any:
        """The value at a quantile from 0 to 1."""
        if self.choices:
            return self.choices[min(len(self.choices) - 1, int(unit * len(self.choices)))]
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return round(value) if self.integer else value
