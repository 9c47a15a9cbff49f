"""The parameters of a define-by-run space: the union over its conditional branches, found by random walks."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna.distributions import BaseDistribution

SAMPLES = 256  # random walks; a branch entered less than about once in a hundred of them may be missed
SCALARS = (str, int, float, bool, type(None))


class RecordingTrial:
    """A trial that suggests random values and records the distribution of each parameter.

    Args:
        rng: Draws the values.
        seen: Filled with parameter -> distribution; the union where a parameter already has one.
        with_rare: Whether the space shall also suggest the parameters that a job has to name.
    """

    number = 0

    def __init__(
        self, rng: random.Random, seen: dict[str, BaseDistribution], with_rare: bool = False
    ) -> None:
        self._with_rare = with_rare
        self._rng = rng
        self._seen = seen
        self._kinds: dict[str, type] = {}
        self.params: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        from optuna.distributions import FloatDistribution

        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{name}: both bounds must be finite, not {low:g} and {high:g}")
        self._record(name, FloatDistribution(low, high, log=log, step=step))
        value = self._rng.uniform(low, high)
        if step is not None:
            value = low + step * self._rng.randint(0, int((high - low) / step))
        return float(self.params.setdefault(name, min(high, max(low, value))))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        from optuna.distributions import IntDistribution

        self._record(name, IntDistribution(low, high, log=log, step=step))
        return int(self.params.setdefault(name, self._rng.randrange(low, high + 1, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        from optuna.distributions import CategoricalDistribution

        for choice in choices:
            if not isinstance(plain(choice), SCALARS):
                # The tables and a resumed search could not tell it from another.
                raise TypeError(
                    f"{name}: a choice must be a number, a text, True, False or None, not {choice!r}"
                )
        self._record(name, CategoricalDistribution(tuple(choices)))
        return self.params.setdefault(name, self._rng.choice(tuple(choices)))

    def requests(self, name: str) -> bool:
        """Whether the space shall suggest the rare parameter `name` (see `is_requested`)."""
        del name
        return self._with_rare

    def set_user_attr(self, key: str, value: Any) -> None:
        """Does nothing: a description has no attributes."""

    def _record(self, name: str, distribution: BaseDistribution) -> None:
        if self._kinds.setdefault(name, type(distribution)) is not type(distribution):
            raise ValueError(f"{name}: suggested twice in one configuration, as values of different kinds")
        earlier = self._seen.get(name)
        self._seen[name] = distribution if earlier is None else _union(earlier, distribution)


def describe(
    space: Callable[[Any], Mapping[str, Any]], seed: int = 0, with_rare: bool = False
) -> dict[str, BaseDistribution]:
    """The distribution of every parameter that `space` suggests in 256 random walks, in order of appearance.

    A number whose bounds differ between branches gets the widest of them. Errors of the space itself pass through.

    Args:
        space: The define-by-run function.
        seed: Seed of the walks.
        with_rare: Whether to include the parameters that the space suggests only where a job names them.
    """
    seen: dict[str, BaseDistribution] = {}
    rng = random.Random(seed)
    for _ in range(SAMPLES):
        space(RecordingTrial(rng, seen, with_rare))
    return seen


def changing_parameters(space: Callable[[Any], Mapping[str, Any]], seed: int = 0) -> list[str]:
    """The parameters whose type, choices or scale (not bounds) differ between 256 random walks through the space."""
    forms: dict[str, set[str]] = {}
    rng = random.Random(seed)
    for _ in range(SAMPLES):
        walked: dict[str, BaseDistribution] = {}
        space(RecordingTrial(rng, walked))
        for name, distribution in walked.items():
            forms.setdefault(name, set()).add(_form(distribution))
    return [name for name, seen in forms.items() if len(seen) > 1]


def _form(distribution: BaseDistribution) -> str:
    scale = "log" if getattr(distribution, "log", False) else "linear"
    return f"{type(distribution).__name__} {getattr(distribution, 'choices', scale)!r}"


def _union(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one == other or type(one) is not type(other):
        return one
    if isinstance(one, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        extra = [choice for choice in other.choices if choice not in one.choices]
        return CategoricalDistribution((*one.choices, *extra))
    # A logarithmic scale or a step that one branch alone has is not kept: it does not hold for both.
    if isinstance(one, FloatDistribution) and isinstance(other, FloatDistribution):
        low, high = min(one.low, other.low), max(one.high, other.high)
        step = one.step if one.step == other.step else None
        return FloatDistribution(low, high, log=one.log and other.log, step=step)
    if isinstance(one, IntDistribution) and isinstance(other, IntDistribution):
        int_low, int_high = min(one.low, other.low), max(one.high, other.high)
        int_step = one.step if one.step == other.step else 1
        return IntDistribution(int_low, int_high, log=one.log and other.log, step=int_step)
    return one
