"""Whether the job's fixed values and ranges fit the parameters a space has: every misfit is one Problem."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.bounds import Bounds
from toprung.spaces.definition.overrides import Choices, Interval, Range, Value
from toprung.spaces.errors import Problem
from toprung.spaces.user_code.references import did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    Parameters = Mapping[str, BaseDistribution]

_SCIENTIFIC = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


def numbers_read(given: Any) -> Any:
    """`given` with texts such as "1e-3" read as numbers, in lists and mappings too: YAML 1.1 takes them for text."""
    if isinstance(given, Mapping):
        return {key: numbers_read(value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [numbers_read(value) for value in given]
    if isinstance(given, str) and _SCIENTIFIC.fullmatch(given):
        return float(given)
    return given


def fixed_problems(
    fixed: Mapping[str, Any], parameters: Parameters, limits: Mapping[str, Bounds]
) -> Iterator[Problem]:
    """What is wrong with `fixed`. A number may lie outside the searched range (no weight decay), not of `limits`."""
    for name, value in fixed.items():
        where = f"space.fixed.{name}"
        if name not in parameters:
            yield _unknown(where, name, parameters)
        elif not _has_type(value, parameters[name]):
            yield Problem(where, f"got {value!r}", f"must be {_type_rule(parameters[name])}")
        elif name in limits and not limits[name].holds(value):
            yield Problem(where, f"got {value!r}", f"must be {limits[name]}")


def parse_ranges(ranges: Mapping[str, Any], parameters: Parameters) -> tuple[dict[str, Range], list[Problem]]:
    """The ranges that hold, and what is wrong with the others."""
    parsed: dict[str, Range] = {}
    problems: list[Problem] = []
    for name, given in ranges.items():
        where = f"space.ranges.{name}"
        if name not in parameters:
            problems.append(_unknown(where, name, parameters))
            continue
        result = _parse(where, given, parameters[name])
        if isinstance(result, Problem):
            problems.append(result)
        else:
            parsed[name] = result
    return parsed, problems


def _parse(where: str, given: Any, parameter: BaseDistribution) -> Range | Problem:
    choices = getattr(parameter, "choices", None)
    if isinstance(given, Mapping) and set(given) == {"choices"}:
        return _parse_choices(where, given["choices"], parameter)
    if choices is not None:
        is_list = isinstance(given, Sequence) and not isinstance(given, str)
        return _parse_choices(where, given if is_list else None, parameter)
    if isinstance(given, Mapping) and set(given) == {"low", "high"}:
        return _parse_interval(where, given["low"], given["high"], parameter)
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2:
        return _parse_interval(where, given[0], given[1], parameter)
    return Problem(where, f"got {given!r}", "write [low, high], {low: , high: } or {choices: [...]}")


def _parse_choices(where: str, given: Any, parameter: BaseDistribution) -> Range | Problem:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        return Problem(where, f"got {given!r}", f"choices must be a list of {_type_rule(parameter)}")
    wrong = [value for value in given if not _within(value, parameter)]
    if wrong:
        return Problem(where, f"got choices {wrong}", f"each must be {bounds_rule(parameter)}")
    return Choices(tuple(dict.fromkeys(given)))


def _parse_interval(where: str, low: Any, high: Any, parameter: BaseDistribution) -> Range | Problem:
    if not (_has_type(low, parameter) and _has_type(high, parameter)):
        return Problem(where, f"got [{low!r}, {high!r}]", f"both must be {_type_rule(parameter)}")
    if low > high:
        return Problem(where, f"low {low} is above high {high}", "low must not be above high")
    if not (_within(low, parameter) and _within(high, parameter)):
        return Problem(where, f"got [{low}, {high}]", f"must be {bounds_rule(parameter)}")
    return Interval(low, high)


def _unknown(where: str, name: str, parameters: Parameters) -> Problem:
    hint = did_you_mean(name, parameters) or f"it has {', '.join(parameters)}"
    return Problem(where, "the space has no such parameter", hint)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _has_type(value: Any, parameter: BaseDistribution) -> bool:
    choices: tuple[Value, ...] | None = getattr(parameter, "choices", None)
    if choices is None:
        whole = type(parameter).__name__ == "IntDistribution"
        return _is_number(value) and (not whole or isinstance(value, int))
    if _is_number(value):
        # A number that is not listed is still meaningful (a batch of 48), a string or a flag is not.
        return any(_is_number(choice) for choice in choices)
    return any(value == choice and type(value) is type(choice) for choice in choices)


def _within(value: Any, parameter: BaseDistribution) -> bool:
    if not _has_type(value, parameter):
        return False
    low, high = getattr(parameter, "low", None), getattr(parameter, "high", None)
    if low is None or high is None:
        return any(value == choice for choice in getattr(parameter, "choices", ()))
    return bool(low <= value <= high)


def _type_rule(parameter: BaseDistribution) -> str:
    choices = getattr(parameter, "choices", None)
    if choices is not None:
        return f"one of {list(choices)}"
    return "a whole number" if type(parameter).__name__ == "IntDistribution" else "a finite number"


def bounds_rule(parameter: BaseDistribution) -> str:
    """What a parameter may be, in words: `a finite number within [0.0, 0.4]`, `one of [3, 5]`."""
    low, high = getattr(parameter, "low", None), getattr(parameter, "high", None)
    return _type_rule(parameter) if low is None else f"{_type_rule(parameter)} within [{low}, {high}]"


# Takes the text of a job and returns it as the space is to have it; raises ValueError("given; rule") otherwise.
TextCheck = Callable[[str], str]


def text_values(
    fixed: Mapping[str, Any], texts: Mapping[str, TextCheck]
) -> tuple[dict[str, str], list[Problem]]:
    """The fixed texts that hold, as the space is to have them, and what is wrong with the others."""
    held: dict[str, str] = {}
    problems: list[Problem] = []
    for name in texts.keys() & fixed.keys():
        checked = _checked(f"space.fixed.{name}", fixed[name], texts[name])
        if isinstance(checked, Problem):
            problems.append(checked)
        else:
            held[name] = checked
    return held, problems


def text_ranges(
    ranges: Mapping[str, Any], texts: Mapping[str, TextCheck]
) -> tuple[dict[str, Choices], list[Problem]]:
    """The same for ranges: each a list of texts, or {choices: [...]}."""
    held: dict[str, Choices] = {}
    problems: list[Problem] = []
    for name in texts.keys() & ranges.keys():
        where, given = f"space.ranges.{name}", ranges[name]
        if isinstance(given, Mapping) and set(given) == {"choices"}:
            given = given["choices"]
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            problems.append(Problem(where, f"got {given!r}", "write {choices: [...]}, a list of texts"))
            continue
        checked = [_checked(where, one, texts[name]) for one in given]
        wrong = [one for one in checked if isinstance(one, Problem)]
        problems += wrong
        if not wrong:
            held[name] = Choices(tuple(dict.fromkeys(one for one in checked if isinstance(one, str))))
    return held, problems


def _checked(where: str, given: Any, check: TextCheck) -> str | Problem:
    if not isinstance(given, str):
        return Problem(where, f"got {given!r}", "must be a text")
    try:
        return check(given)
    except ValueError as error:
        return Problem(where, f"got {given!r}", str(error))
