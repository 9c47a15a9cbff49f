"""What a space says about its parameters beside their ranges: limits of numbers, and checks of free texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from toprung.spaces.definition.bounds import Bounds
from toprung.spaces.definition.recipe_vocabulary import RECIPE
from toprung.spaces.definition.validation import TextCheck

S = TypeVar("S", bound=Callable[..., Any])


@dataclass(frozen=True)
class Constraints:
    """A decorator of space functions: `@Constraints(limits={...}, text_checks={...})`.

    limits: parameter -> the numbers that a job may fix it at; those of the training recipe are added.
    text_checks: parameter that takes free text -> the check that a text must pass.
    """

    limits: Mapping[str, Bounds] = field(default_factory=dict)
    text_checks: Mapping[str, TextCheck] = field(default_factory=dict)

    def __call__(self, space: S) -> S:
        """Mark the space function with these constraints and return it."""
        vars(space)["constraints"] = self
        return space


def constraints_of(space: object) -> Constraints:
    """The constraints a space was marked with, together with the limits of the training recipe."""
    marked = getattr(space, "constraints", None)
    own = marked if isinstance(marked, Constraints) else Constraints()
    return Constraints({**RECIPE, **own.limits}, own.text_checks)
