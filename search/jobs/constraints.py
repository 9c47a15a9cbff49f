"""`search.constraints` of a job file: the bounds that the winner has to keep, by metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from toprung.search.jobs.section import Section
from toprung.spaces.errors import name_rule
from toprung.trainables.trial.bounds import Bound, Bounds, is_share
from toprung.trainables.trial.objectives import BETTER


class Limits(Section):
    """The values that one metric may have."""

    min: float | None = Field(None, description="The least value; null for no limit.")
    max: float | None = Field(None, description="The greatest value; null for no limit.")

    @model_validator(mode="after")
    def there_is_a_limit_and_room_within(self) -> Limits:
        if self.min is None and self.max is None:
            raise ValueError("neither min nor max is given, and a bound has at least one of them")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is {self.min:g}, and max {self.max:g} is less")
        return self


def known_metrics(given: Any) -> Any:
    """The constraints as given; raises the error of a field where one is of no metric that can be bounded."""
    unknown = [str(name) for name in given if name not in BETTER] if isinstance(given, Mapping) else []
    if unknown:
        context = {"name": repr(unknown[0]), "rule": name_rule(unknown[0], BETTER)}
        raise PydanticCustomError("name", "{name} cannot be bounded: {rule}", context)
    return given


def possible_values(constraints: dict[str, Limits]) -> dict[str, Limits]:
    """The constraints as given; raises the error of a field where a limit is no value that its metric can have."""
    for metric, limits in constraints.items():
        for name, limit in (("min", limits.min), ("max", limits.max)):
            if limit is not None and (limit < 0.0 or (is_share(metric) and limit > 1.0)):
                lies = "lies from 0 to 1" if is_share(metric) else "is never below 0"
                raise ValueError(f"constraints.{metric}.{name} is {limit:g}, and {metric} {lies}")
    return constraints


Constraints = Annotated[dict[str, Limits], BeforeValidator(known_metrics), AfterValidator(possible_values)]
"""Limits by metric."""


def bounds_of(constraints: Mapping[str, Limits]) -> Bounds:
    """The constraints of a job as bounds, in the order of the metrics' names."""
    return Bounds(tuple(Bound(metric, one.min, one.max) for metric, one in sorted(constraints.items())))
