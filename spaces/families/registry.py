"""Look a space up by name, with the job's fixed values and narrowed ranges laid over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from toprung.spaces.definition.constraints import rules_of
from toprung.spaces.definition.first_config import first_config_of
from toprung.spaces.definition.introspection import describe
from toprung.spaces.definition.overrides import OverriddenTrial, Range, Value
from toprung.spaces.definition.validation import (
    fixed_problems,
    numbers_read,
    parse_ranges,
    text_ranges,
    text_values,
)
from toprung.spaces.errors import InputError
from toprung.spaces.user_code.references import did_you_mean, instance, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.distributions import BaseDistribution


BUILT_IN = {
    "cnn": "toprung.spaces.families.cnn:space",
    "cnn_full": "toprung.spaces.families.cnn:full",
    "cnn_vgg": "toprung.spaces.families.presets:cnn_vgg",
    "cnn_max_norm": "toprung.spaces.families.presets:cnn_max_norm",
    "cnn_small": "toprung.spaces.families.presets:cnn_small",
    "transfer": "toprung.spaces.families.transfer:space",
}


class DefineByRun(Protocol):
    """An Optuna define-by-run space: draws from `trial.suggest_*` and returns a flat configuration."""

    def __call__(self, trial: Any) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Space:
    """A define-by-run space with some parameters fixed and some ranges narrowed.

    Holds the name and not the function, so that it pickles wherever the name can be looked up again.
    """

    name: str
    fixed: Mapping[str, Value] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def __call__(self, trial: Any) -> dict[str, Any]:
        """Draw a configuration: a flat dict of numbers, strings, flags or None."""
        return define_by_run(self.name)(OverriddenTrial(trial, self.fixed, self.ranges))

    @property
    def usual(self) -> Mapping[str, Any]:
        """What practitioners try first in it, before the job's fixed values and ranges; empty where nobody knows."""
        return first_config_of(define_by_run(self.name))


def load_space(
    name: str, fixed: Mapping[str, Any] | None = None, ranges: Mapping[str, Any] | None = None
) -> Space:
    """The space `name` ("cnn", "module:function" or "file.py:attribute") as the job narrows it.

    `fixed` maps a parameter to its value; `ranges` maps one to [low, high], {low, high} or {choices: [...]},
    which must lie within the space's own range. Raises InputError with every problem found, each pointing at
    `space.name`, `space.fixed.PARAMETER` or `space.ranges.PARAMETER`.
    """
    fixed, ranges = numbers_read(fixed or {}), numbers_read(ranges or {})
    parameters, rules = _described(name), rules_of(define_by_run(name))
    fixed_texts, problems = text_values(fixed, rules.texts)
    ranged_texts, more = text_ranges(ranges, rules.texts)
    problems += more
    numbers = {name: value for name, value in fixed.items() if name not in rules.texts}
    problems += fixed_problems(numbers, parameters, rules.limits)
    parsed, more = parse_ranges({k: v for k, v in ranges.items() if k not in rules.texts}, parameters)
    if problems or more:
        raise InputError([*problems, *more])
    return Space(name, {**fixed, **fixed_texts}, {**parsed, **ranged_texts})


@lru_cache(maxsize=64)
def define_by_run(name: str) -> DefineByRun:
    """The space function called `name`; of a class or object with a `space` method, that method."""
    if name not in BUILT_IN and ":" not in name:
        known = ", ".join(BUILT_IN)
        hint = did_you_mean(name, BUILT_IN) or f'known: {known}, or write "module:function" or "file.py:name"'
        raise InputError.single("space.name", f"unknown space {name!r}", hint)
    found = instance(resolve(BUILT_IN.get(name, name), "space.name"), name, "space.name")
    found = getattr(found, "space", found)
    if not callable(found):
        raise InputError.single(
            "space.name", f"{name} is no function", "name a function space(trial) -> dict"
        )
    function: DefineByRun = found
    return function


@lru_cache(maxsize=64)
def _described(name: str) -> Mapping[str, BaseDistribution]:
    """Every parameter of the space, after random walks through its branches showed that it runs and returns a dict."""
    function = define_by_run(name)

    def walked(trial: Any) -> dict[str, Any]:
        config = function(trial)
        if not isinstance(config, dict):
            given = f"{name} returned {type(config).__name__}"
            raise InputError.single("space.name", given, "space(trial) must return a dict")
        for key in config:
            if not isinstance(key, str):
                raise InputError.single("space.name", f"{name} returned the key {key!r}", "must be a text")
        return config

    try:
        return describe(walked, everything=True)
    except InputError:
        raise
    except Exception as error:
        raise InputError.single("space.name", f"{name} fails: {error!r}", "fix the space function") from error
