"""The configuration a practitioner would try first; a search tries it first too, so it never ends below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

S = TypeVar("S", bound=Callable[..., Any])


def tried_first(config: Mapping[str, Any]) -> Callable[[S], S]:
    """A decorator of space functions: a search tries `config` first.

    Parameters that `config` leaves out, or whose value the job does not allow, are drawn.
    """

    def mark(space: S) -> S:
        vars(space)["first_config"] = config
        return space

    return mark


def first_config_of(space: object) -> Mapping[str, Any]:
    """The configuration a space function was marked with; empty where it was not marked."""
    config: Mapping[str, Any] = getattr(space, "first_config", {})
    return config
