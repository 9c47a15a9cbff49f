"""How many configurations a space holds, where that is a small number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.plain_values import plain_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WALKS_FOR_EACH = 20
"""Walks through the space for each configuration that is asked for: several walks may end at the same one."""


class _Walk:
    """A trial that suggests the values at given places among those that are possible, then the first ones.

    `options` is how many values were possible at each suggestion of the walk.
    """

    number = 0

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        self.options: list[int] = []
        self.params: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        del log
        if step is None and low < high:
            raise OverflowError(f"{name} has values without end")
        place = self._place(name, 1 if step is None else 1 + math.floor((high - low) / step + 1e-9))
        return float(self.params.setdefault(name, low + place * (step or 0.0)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        del log
        return int(
            self.params.setdefault(name, low + step * self._place(name, 1 + max(0, high - low) // step))
        )

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.params.setdefault(name, choices[self._place(name, len(choices))])

    def requests(self, name: str) -> bool:
        """Whether the space shall suggest a rare parameter: none but those that a job names."""
        del name
        return False

    def set_user_attr(self, key: str, value: Any) -> None:
        """Does nothing: what is only counted has no attributes."""

    def _place(self, name: str, options: int) -> int:
        if name in self.params:  # suggested before: the value stays
            return 0
        self.options.append(options)
        index = len(self.options) - 1
        return self._places[index] if index < len(self._places) else 0


def count_configurations(space: Callable[[Any], Mapping[str, Any]], at_most: int) -> int | None:
    """How many different configurations a space holds, counted by walking through all of them.

    Args:
        space: The define-by-run space; without randomness of its own.
        at_most: The number from which on the count does not matter.

    Returns:
        The number; None where it is `at_most` or more, has no end, or the space fails.
    """
    found: set[tuple[tuple[str, Any], ...]] = set()
    places: list[int] | None = []
    for _ in range(WALKS_FOR_EACH * at_most):
        if places is None:
            return len(found)
        walk = _Walk(places)
        try:
            config = plain_config(space(walk))
        except Exception:  # that of a number without steps, or of a user's space, of which others tell
            return None
        found.add(tuple(sorted((name, repr(value)) for name, value in config.items())))
        if len(found) >= at_most:
            return None
        places = _next(places, walk.options)
    return None if places is not None else len(found)


def _next(places: Sequence[int], options: Sequence[int]) -> list[int] | None:
    """The places of the next walk, the last suggestion changing first; None behind the last walk."""
    padded = [*places, *[0] * len(options)][: len(options)]
    for index in reversed(range(len(options))):
        if padded[index] + 1 < options[index]:
            return [*padded[:index], padded[index] + 1]
    return None
