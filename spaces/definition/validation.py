"""Whether a job's fixed values and ranges fit the parameters of a space: each one that does not is one Problem."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.bounds import Bounds
from toprung.spaces.definition.overrides import Choices, Interval, Range
from toprung.spaces.definition.trial import Value
from toprung.spaces.errors import Problem, did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    Parameters = Mapping[str, BaseDistribution]

TextCheck = Callable[[str], str]
"""Returns a text of the job in the form that the space expects; raises ValueError with the rule for a wrong one."""

Elsewhere = Callable[[], Mapping[str, str]]
"""Gives the parameters of the built-in spaces, each with the name of a space that has it."""

_SCIENTIFIC = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


def parse_numbers(given: Any) -> Any:
    """`given` with texts such as "1e-3" as numbers, in lists and mappings too; YAML 1.1 reads those as text."""
    if isinstance(given, Mapping):
        return {key: parse_numbers(value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [parse_numbers(value) for value in given]
    if isinstance(given, str) and _SCIENTIFIC.fullmatch(given):
        return float(given)
    return given


def fixed_problems(
    fixed: Mapping[str, Any],
    parameters: Parameters,
    limits: Mapping[str, Bounds],
    elsewhere: Elsewhere = dict,
) -> Iterator[Problem]:
    """What is wrong with the job's fixed values.

    A fixed number may lie outside the searched range (a weight decay of 0), but not outside its `limits`.
    """
    for name, value in fixed.items():
        where = f"space.fixed.{name}"
        if name not in parameters:
            yield _unknown(where, name, parameters, elsewhere)
        elif not _has_type(value, parameters[name]):
            yield Problem(where, f"got {value!r}", f"must be {_type_rule(parameters[name])}")
        elif name in limits and not limits[name].holds(value):
            yield Problem(where, f"got {value!r}", f"must be {limits[name]}")


def parse_ranges(
    ranges: Mapping[str, Any], parameters: Parameters, elsewhere: Elsewhere = dict
) -> tuple[dict[str, Range], list[Problem]]:
    """The valid ones of the job's ranges, and what is wrong with the others.

    Args:
        ranges: Parameter -> [low, high], {low: , high: } or {choices: [...]}.
        parameters: Parameter -> the distribution that the space itself draws it from.
        elsewhere: Gives the spaces of other parameters, for messages.
    """
    valid: dict[str, Range] = {}
    problems: list[Problem] = []
    for name, given in ranges.items():
        where = f"space.ranges.{name}"
        if name not in parameters:
            problems.append(_unknown(where, name, parameters, elsewhere))
            continue
        parsed = _parse(where, given, parameters[name])
        if isinstance(parsed, Problem):
            problems.append(parsed)
        else:
            valid[name] = parsed
    return valid, problems


def parse_fixed_texts(
    fixed: Mapping[str, Any], checks: Mapping[str, TextCheck]
) -> tuple[dict[str, str], list[Problem]]:
    """The valid ones of the fixed free texts, in the form that the space expects, and what is wrong with the others.

    Args:
        fixed: The job's fixed values; those without a check are ignored.
        checks: Parameter that takes free text -> the check of its texts.
    """
    valid: dict[str, str] = {}
    problems: list[Problem] = []
    for name in checks.keys() & fixed.keys():
        checked = _checked(f"space.fixed.{name}", fixed[name], checks[name])
        if isinstance(checked, Problem):
            problems.append(checked)
        else:
            valid[name] = checked
    return valid, problems


def parse_text_ranges(
    ranges: Mapping[str, Any], checks: Mapping[str, TextCheck]
) -> tuple[dict[str, Choices], list[Problem]]:
    """As `parse_fixed_texts` for ranges: each is a list of texts, or {choices: [...]}."""
    valid: dict[str, Choices] = {}
    problems: list[Problem] = []
    for name in checks.keys() & ranges.keys():
        where, given = f"space.ranges.{name}", ranges[name]
        if isinstance(given, Mapping) and set(given) == {"choices"}:
            given = given["choices"]
        if not _is_list(given) or not given:
            problems.append(Problem(where, f"got {given!r}", "write {choices: [...]}, a list of texts"))
            continue
        checked = [_checked(where, text, checks[name]) for text in given]
        wrong = [one for one in checked if isinstance(one, Problem)]
        problems += wrong
        if not wrong:
            valid[name] = Choices(tuple(dict.fromkeys(one for one in checked if isinstance(one, str))))
    return valid, problems


def bounds_rule(parameter: BaseDistribution) -> str:
    """The values of a parameter in words: `a finite number within [0.0, 0.4]`, `one of [3, 5]`."""
    low, high = getattr(parameter, "low", None), getattr(parameter, "high", None)
    return _type_rule(parameter) if low is None else f"{_type_rule(parameter)} within [{low}, {high}]"


def _parse(where: str, given: Any, parameter: BaseDistribution) -> Range | Problem:
    if isinstance(given, Mapping) and set(given) == {"choices"}:
        return _parse_choices(where, given["choices"], parameter)
    if getattr(parameter, "choices", None) is not None:
        return _parse_choices(where, given, parameter)
    if isinstance(given, Mapping) and set(given) == {"low", "high"}:
        return _parse_interval(where, given["low"], given["high"], parameter)
    if _is_list(given) and len(given) == 2:
        return _parse_interval(where, given[0], given[1], parameter)
    return Problem(where, f"got {given!r}", "write [low, high], {low: , high: } or {choices: [...]}")


def _parse_choices(where: str, given: Any, parameter: BaseDistribution) -> Range | Problem:
    if not _is_list(given) or not given:
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


def _unknown(where: str, name: str, parameters: Parameters, elsewhere: Elsewhere) -> Problem:
    others = elsewhere()
    hint = did_you_mean(name, parameters)
    if name in others:
        hint = f"the space {others[name]} has it"
    elif not hint and (close := difflib.get_close_matches(name, others, n=1)):
        hint = f'did you mean "{close[0]}" of the space {others[close[0]]}?'
    return Problem(where, "the space has no such parameter", hint or f"it has {', '.join(parameters)}")


def _is_list(given: object) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _has_type(value: object, parameter: BaseDistribution) -> bool:
    choices: tuple[Value, ...] | None = getattr(parameter, "choices", None)
    if choices is None:
        return _is_number(value) and (not _is_integer(parameter) or isinstance(value, int))
    if _is_number(value):
        # A number that is not listed still has a meaning (a batch of 48); a text or a flag has none.
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
    return "a whole number" if _is_integer(parameter) else "a finite number"


def _is_integer(parameter: BaseDistribution) -> bool:
    # By name: importing Optuna takes longer than everything else that `toprung --help` needs.
    return type(parameter).__name__ == "IntDistribution"


def _checked(where: str, given: object, check: TextCheck) -> str | Problem:
    if not isinstance(given, str):
        return Problem(where, f"got {given!r}", "must be a text")
    try:
        return check(given)
    except ValueError as error:
        return Problem(where, f"got {given!r}", str(error))
