"""The configuration a practitioner would try first: a search does too, so that it never ends below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

S = TypeVar("S", bound=Callable[..., Any])


def tried_first(config: Mapping[str, Any]) -> Callable[[S], S]:
    """Mark a space function: `config` is tried first. What it leaves out, or what a job does not allow, is drawn."""

    def mark(space: S) -> S:
        vars(space)["usual"] = config
        return space

    return mark


def first_config_of(space: Any) -> Mapping[str, Any]:
    """The configuration a space function was marked with; empty for others."""
    usual: Mapping[str, Any] = getattr(space, "usual", {})
    return usual
