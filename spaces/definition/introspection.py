"""What a define-by-run space may ask for: the union of its parameters over every conditional branch."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna.distributions import BaseDistribution

SAMPLES = 256
SCALARS = (str, int, float, bool, type(None))


class RecordingTrial:
    """A trial that answers at random and writes down what it was asked."""

    number = 0

    def __init__(
        self, rng: random.Random, seen: dict[str, BaseDistribution], everything: bool = False
    ) -> None:
        self._everything = everything
        self._rng = rng
        self._seen = seen
        self.params: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        from optuna.distributions import FloatDistribution

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

    def asks(self, name: str) -> bool:
        """Whether the space should ask for a parameter beyond its core (see `spaces.asked`)."""
        del name
        return self._everything

    def set_user_attr(self, key: str, value: Any) -> None:
        """Accepted and dropped: a description has no attributes."""

    def _record(self, name: str, distribution: BaseDistribution) -> None:
        earlier = self._seen.get(name)
        self._seen[name] = distribution if earlier is None else _union(earlier, distribution)


def describe(
    space: Callable[[Any], dict[str, Any]], seed: int = 0, everything: bool = False
) -> dict[str, BaseDistribution]:
    """Every parameter `space` asks for in 256 random walks through its branches, in order of appearance.

    With `everything`, those beyond its core too, which a job would have to name.
    A number asked for with different bounds in different branches gets the widest of them. A branch entered
    less than about once in a hundred walks may be missed. Errors of the space itself pass through.
    """
    seen: dict[str, BaseDistribution] = {}
    rng = random.Random(seed)
    for _ in range(SAMPLES):
        space(RecordingTrial(rng, seen, everything))
    return seen


def changing_parameters(space: Callable[[Any], Mapping[str, Any]], seed: int = 0) -> list[str]:
    """The parameters whose choices, kind or scale (not bounds) differ over 256 random walks through the space."""
    forms: dict[str, set[str]] = {}
    rng = random.Random(seed)
    for _ in range(SAMPLES):
        walked: dict[str, BaseDistribution] = {}
        space(RecordingTrial(rng, walked))
        for name, kind in walked.items():
            forms.setdefault(name, set()).add(_form(kind))
    return [name for name, seen in forms.items() if len(seen) > 1]


def _form(kind: BaseDistribution) -> str:
    scale = "log" if getattr(kind, "log", False) else "linear"
    return f"{type(kind).__name__} {getattr(kind, 'choices', scale)!r}"


def _union(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one == other or type(one) is not type(other):
        return one
    if isinstance(one, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        extra = [choice for choice in other.choices if choice not in one.choices]
        return CategoricalDistribution((*one.choices, *extra))
    # What holds in one branch only, a scale of logarithms or a step, does not hold for both.
    if isinstance(one, FloatDistribution) and isinstance(other, FloatDistribution):
        low, high = min(one.low, other.low), max(one.high, other.high)
        step = one.step if one.step == other.step else None
        return FloatDistribution(low, high, log=one.log and other.log, step=step)
    if isinstance(one, IntDistribution) and isinstance(other, IntDistribution):
        least, most = min(one.low, other.low), max(one.high, other.high)
        whole_step = one.step if one.step == other.step else 1
        return IntDistribution(least, most, log=one.log and other.log, step=whole_step)
    return one
