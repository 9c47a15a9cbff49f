"""The metrics that a search optimises, and the score of a trial in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Score = float | tuple[float, ...]


@dataclass(frozen=True)
class Objectives:
    """The metrics searched for; signs are 1 where more is better, -1 where less is."""

    metrics: tuple[str, ...]
    signs: tuple[float, ...]

    @classmethod
    def of(cls, modes: Mapping[str, str]) -> Objectives:
        """From metric names to max or min."""
        return cls(tuple(modes), tuple(1.0 if mode == "max" else -1.0 for mode in modes.values()))

    def score(self, metrics: Mapping[str, float]) -> Score:
        """A float for one objective, a tuple for several, higher is better; KeyError when a metric is missing."""
        if len(self.metrics) == 1:
            return self.signs[0] * metrics[self.metrics[0]]
        return tuple(sign * metrics[name] for name, sign in zip(self.metrics, self.signs, strict=True))
