"""The configurations a practitioner would try first; a search tries them first too, so it never ends below them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

S = TypeVar("S", bound=Callable[..., Any])


def tried_first(*configs: Mapping[str, Any]) -> Callable[[S], S]:
    """A decorator of space functions: a search tries `configs` first, in this order.

    Parameters that a configuration leaves out, or whose value the job does not allow, are drawn.
    """

    def mark(space: S) -> S:
        vars(space)["first_configs"] = configs
        return space

    return mark


def first_configs_of(space: object) -> Sequence[Mapping[str, Any]]:
    """The configurations a space function was marked with; none where it was not marked."""
    configs: Sequence[Mapping[str, Any]] = getattr(space, "first_configs", ())
    return configs
