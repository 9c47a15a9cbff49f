"""Whether a user's family can be trained at all: what would end every one of its trials, found before the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.introspection import SCALARS
from toprung.spaces.definition.plain_values import plain_config
from toprung.spaces.errors import InputError, Problem
from toprung.spaces.families.built_in import BUILT_IN
from toprung.trainables.models.family import load_family
from toprung.trainables.optimization.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def check_family(name: str, configs: Iterable[Mapping[str, Any]]) -> None:
    """Raise InputError where the family lacks a method, or for each value in `configs`, drawn from it, that cannot be.

    TensorFlow is not imported for it, unless the family's own file does.
    """
    if name in BUILT_IN:
        return
    load_family(name)
    found = {problem.where: problem for config in configs for problem in _problems(config)}
    if found:
        raise InputError(
            Problem("space.name", f"{name} draws {key} {problem.given}", problem.allowed)
            for key, problem in found.items()
        )


def _problems(config: Mapping[str, Any]) -> Iterator[Problem]:
    plain = plain_config(config)
    scalars = {key: value for key, value in plain.items() if isinstance(value, SCALARS)}
    for key, value in plain.items():
        if key not in scalars:
            yield Problem(key, f"as {type(value).__name__}", "must be a number, a text, True, False or None")
    try:
        Recipe.from_config(scalars)
    except InputError as error:
        for problem in error.problems:
            key = problem.where.removeprefix("config.")
            yield Problem(key, f"as {scalars[key]!r}", problem.allowed)
