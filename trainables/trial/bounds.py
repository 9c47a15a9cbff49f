"""The bounds within which the winner of a search has to lie: what keeps them, and by how much they are broken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from toprung.spaces.errors import Problem

MEASURED_ON_MODEL = ("parameter_count", "latency_ms")
"""The metrics that are known once a model is built, before it is trained, and that training does not change."""
VIOLATION = "violation"
"""The column of how far a trial or an epoch is beyond the bounds, see `Bounds.violation`."""


def is_share(metric: str) -> bool:
    """Whether the values of a metric lie from 0 to 1; those of the others have no upper end."""
    return metric.startswith("val_") and metric != "val_loss"


@dataclass(frozen=True)
class Bound:
    """The least and the greatest value of one metric; None where there is no such limit."""

    metric: str
    least: float | None = None
    greatest: float | None = None

    def excess(self, value: float) -> float:
        """How far a value lies beyond the bound, as a share of it (of 1 for a bound of 0); 0 within, NaN for NaN."""
        for limit, beyond in ((self.least, -1.0), (self.greatest, 1.0)):
            if limit is not None and not beyond * (value - limit) <= 0.0:
                return beyond * (value - limit) / (abs(limit) or 1.0)
        return 0.0

    def described(self, value: float) -> str:
        """A value beyond the bound in words: latency_ms 7.2 (44.0% beyond 5)."""
        limit = self.least if self.least is not None and value < self.least else self.greatest
        return f"{self.metric} {_number(value)} ({self.excess(value):.1%} beyond {_number(limit or 0.0)})"

    def __str__(self) -> str:
        least = "" if self.least is None else f"at least {_number(self.least)}"
        greatest = "" if self.greatest is None else f"at most {_number(self.greatest)}"
        return f"{self.metric} {' and '.join(filter(None, (least, greatest)))}"


@dataclass(frozen=True)
class Bounds:
    """The bounds of a search, each of another metric; none where any trial may win."""

    all: tuple[Bound, ...] = ()

    @classmethod
    def of(cls, limits: Mapping[str, Mapping[str, float]]) -> Bounds:
        """Bounds such as {"latency_ms": {"max": 5.0}}, see `bound_problems`, in the order of the metrics' names."""
        return cls(
            tuple(Bound(metric, one.get("min"), one.get("max")) for metric, one in sorted(limits.items()))
        )

    def __bool__(self) -> bool:
        return bool(self.all)

    def __str__(self) -> str:
        return ", ".join(map(str, self.all))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The name of each bounded metric."""
        return tuple(bound.metric for bound in self.all)

    @property
    def of_model(self) -> Bounds:
        """The bounds of what is known once a model is built, and does not change while it trains."""
        return Bounds(tuple(bound for bound in self.all if bound.metric in MEASURED_ON_MODEL))

    def violation(self, values: Mapping[str, float]) -> float:
        """How far values lie beyond the bounds: the shares of all that are broken, added up (Deb 2000).

        Args:
            values: Of the bounded metrics, those that are known.

        Returns:
            0 where every bound is kept; NaN where none is known to be broken and one is unknown.
        """
        found = [bound.excess(values.get(bound.metric, math.nan)) for bound in self.all]
        broken = sum(excess for excess in found if excess > 0.0)
        return broken if broken or not any(map(math.isnan, found)) else math.nan

    def are_kept(self, values: Mapping[str, float]) -> bool:
        """Whether values of all bounded metrics are known and keep their bounds."""
        return self.violation(values) == 0.0

    def broken_in_words(self, values: Mapping[str, float]) -> str:
        """The values that break their bounds, and by how much; empty where none is known to."""
        known = [(bound, values[bound.metric]) for bound in self.all if bound.metric in values]
        return ", ".join(bound.described(value) for bound, value in known if bound.excess(value) > 0.0)


def bound_problems(limits: Mapping[str, Mapping[str, float]]) -> Iterator[Problem]:
    """What is wrong with bounds such as {"latency_ms": {"max": 5.0}}."""
    for metric, given in limits.items():
        where = f"bounds[{metric!r}]"
        if not isinstance(given, Mapping) or not given or not set(given) <= {"min", "max"}:
            yield Problem(where, repr(given), "must be a dict of min, max or both")
        elif not all(isinstance(limit, int | float) and math.isfinite(limit) for limit in given.values()):
            yield Problem(where, repr(given), "must hold finite numbers")
        elif given.get("min", -math.inf) > given.get("max", math.inf):
            yield Problem(where, repr(given), "must not have a min above its max")


def _number(value: float) -> str:
    """A count as a whole number, anything else with four digits."""
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:.4g}"
