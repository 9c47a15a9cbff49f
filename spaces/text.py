"""Parameters whose value is free text, such as a file: what the job gives is checked, not looked up in a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spaces.narrow import Choices
from spaces.problem import Problem

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
