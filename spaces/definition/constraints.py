"""What a space says of its parameters beside what it draws: the limits of numbers, and the checks of free texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from toprung.spaces.definition.bounds import Bounds
from toprung.spaces.definition.recipe_vocabulary import RECIPE
from toprung.spaces.definition.validation import TextCheck

S = TypeVar("S", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rules:
    """A decorator of space functions: `@Rules(limits={...}, texts={...})`.

    limits: of the numbers named here, beside those of the recipe.
    texts: parameters that take any text which their check lets pass.
    """

    limits: Mapping[str, Bounds] = field(default_factory=dict)
    texts: Mapping[str, TextCheck] = field(default_factory=dict)

    def __call__(self, space: S) -> S:
        """The space function, marked with these rules."""
        vars(space)["rules"] = self
        return space


def rules_of(space: Any) -> Rules:
    """The rules a space was marked with, those of the recipe among them."""
    found = getattr(space, "rules", None)
    own = found if isinstance(found, Rules) else Rules()
    return Rules({**RECIPE, **own.limits}, own.texts)
