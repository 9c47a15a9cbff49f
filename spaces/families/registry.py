"""Look a space up by name, with the job's fixed values and ranges laid over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.constraints import constraints_of
from toprung.spaces.definition.first_config import first_configs_of
from toprung.spaces.definition.introspection import describe
from toprung.spaces.definition.overrides import OverriddenTrial, Range
from toprung.spaces.definition.trial import OptunaTrial, Value
from toprung.spaces.definition.validation import (
    fixed_problems,
    parse_fixed_texts,
    parse_numbers,
    parse_ranges,
    parse_text_ranges,
)
from toprung.spaces.errors import InputError
from toprung.spaces.families.built_in import BUILT_IN, registration_of
from toprung.spaces.user_code.errors import errors_of_first_run, errors_of_user_code
from toprung.spaces.user_code.references import instance, resolve
from toprung.spaces.user_code.slow_code import told_if_slow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution


DefineByRun = Callable[[OptunaTrial], dict[str, Any]]
"""An Optuna define-by-run space: calls `trial.suggest_*` and returns a flat configuration."""


@dataclass(frozen=True)
class Space:
    """A define-by-run space with some parameters fixed and the ranges of others narrowed.

    Holds the name and not the function, so that it pickles wherever the name can be looked up again.
    """

    name: str
    fixed: Mapping[str, Value] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def __call__(self, trial: OptunaTrial) -> dict[str, Any]:
        """Draw a configuration: a flat dict of numbers, texts, flags or None."""
        function, overridden = define_by_run(self.name), OverriddenTrial(trial, self.fixed, self.ranges)
        if self.name in BUILT_IN:
            return function(overridden)
        with errors_of_user_code("space.name", f"{self.name} fails", "fix the space function"):
            return function(overridden)

    @property
    def first_configs(self) -> Sequence[Mapping[str, Any]]:
        """What a search tries first in this space, before the job's fixed values and ranges; may be empty."""
        return first_configs_of(define_by_run(self.name))


def load_space(
    name: str, fixed: Mapping[str, Any] | None = None, ranges: Mapping[str, Any] | None = None
) -> Space:
    """The space `name` with the fixed values and ranges of a job.

    Args:
        name: A built-in name, "module:function" or "file.py:attribute".
        fixed: Parameter -> its value.
        ranges: Parameter -> [low, high], {low: , high: } or {choices: [...]}, within the space's own range.

    Raises:
        InputError: Every problem found, each at `space.name`, `space.fixed.PARAMETER` or `space.ranges.PARAMETER`.
    """
    fixed, ranges = parse_numbers(fixed or {}), parse_numbers(ranges or {})
    define_by_run.cache_clear()  # a file may have changed since it was loaded last
    function = define_by_run(name)
    parameters, constraints = _described(name, function), constraints_of(function)
    checks = constraints.text_checks
    fixed_texts, fixed_text_problems = parse_fixed_texts(fixed, checks)
    text_ranges, text_range_problems = parse_text_ranges(ranges, checks)
    other_ranges, range_problems = parse_ranges(_without(checks, ranges), parameters, _elsewhere)
    problems = [
        *fixed_text_problems,
        *text_range_problems,
        *fixed_problems(_without(checks, fixed), parameters, constraints.limits, _elsewhere),
        *range_problems,
    ]
    if problems:
        raise InputError(problems)
    return Space(name, {**fixed, **fixed_texts}, {**other_ranges, **text_ranges})


@lru_cache(maxsize=64)
def define_by_run(name: str) -> DefineByRun:
    """The function of the space `name`; where a class or an object is named, its method `space`.

    Raises:
        InputError: There is no such space, or it cannot be called.
    """
    found = instance(resolve(registration_of(name).space, "space.name"), name, "space.name")
    function = getattr(found, "space", found)
    if not callable(function):
        rule = "name a function space(trial) -> dict"
        raise InputError.single("space.name", f"{name} is no function", rule)
    space: DefineByRun = function
    return space


@lru_cache(maxsize=64)
def _described(name: str, function: DefineByRun) -> Mapping[str, BaseDistribution]:
    """Every parameter of the space; the random walks that find them also show that it runs and returns a dict."""

    def checked(trial: OptunaTrial) -> dict[str, Any]:
        config = function(trial)
        if not isinstance(config, dict):
            given = f"{name} returned {type(config).__name__}"
            raise InputError.single("space.name", given, "space(trial) must return a dict")
        for key in config:
            if not isinstance(key, str):
                raise InputError.single("space.name", f"{name} returned the key {key!r}", "must be a text")
        return config

    with (
        told_if_slow(f"configurations of {name} are being drawn"),
        errors_of_first_run("space.name", f"{name} fails", "fix the space function"),
    ):
        return describe(checked, with_rare=True)


def _elsewhere() -> dict[str, str]:
    """By parameter of the built-in spaces, the first space that has it."""
    found: dict[str, str] = {}
    for name in BUILT_IN:
        function = define_by_run(name)
        for parameter in (*_described(name, function), *constraints_of(function).text_checks):
            found.setdefault(parameter, name)
    return found


def _without(names: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
