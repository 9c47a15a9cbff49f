"""Errors in the user's input: where it stands, what was given, what is allowed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN_CHARS = 300
GIVEN_CHARS = 600  # a value of SHOWN_CHARS and what is said of it
SHOWN_ITEMS = 30


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input; `str()` is the one line that the user sees.

    where: the key of the job file, the option of the command line or the file, such as "space.fixed.filters".
    given: the value that was found there; shown in one line and cut where it is long.
    allowed: the rule that it breaks, or what to write instead.
    """

    where: str
    given: str
    allowed: str

    def __str__(self) -> str:
        return f"{first_line(self.where)}: {first_line(self.given, GIVEN_CHARS)}; {printable(self.allowed)}"


class InputError(ValueError):
    """The user must change the input before anything can run (exit code 2). Carries every problem found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def single(cls, where: str, given: str, allowed: str) -> InputError:
        """An error with one problem."""
        return cls([Problem(where, given, allowed)])

    def within(self, where: str) -> InputError:
        """The same problems, each found inside `where`, such as a file."""
        return InputError(replace(problem, where=f"{where}: {problem.where}") for problem in self.problems)

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        # Errors cross process borders inside Ray; the default pickling would hand __init__ the joined text.
        return (type(self), (self.problems,))


def first_line(value: object, max_chars: int = SHOWN_CHARS) -> str:
    """The text of a value or error in one printable line, cut in its middle where it is longer than `max_chars`."""
    text = printable(str(value)) or type(value).__name__
    if len(text) <= max_chars:
        return text
    half = (max_chars - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def printable(text: str) -> str:
    """The text in one line: white space is one space, and what a terminal cannot show stands as its escape."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(text.split()))


def shown(value: object) -> str:
    """How a wrong value is shown: as Python writes it, cut where it is long, whatever it is."""
    try:
        return first_line(_cut(value).__repr__())
    except Exception as error:  # a number of more digits than Python writes, or an object of the user's
        return f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"


def _cut(value: object) -> object:
    """The first values of a collection: all of them might take long to write."""
    if isinstance(value, dict):
        return {key: _cut(one) for key, one in list(value.items())[:SHOWN_ITEMS]}
    if isinstance(value, list | tuple):
        return type(value)(_cut(one) for one in value[:SHOWN_ITEMS])
    return value


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """'did you mean "x"?' for the closest allowed name; the empty string when nothing is close."""
    close = difflib.get_close_matches(given, list(allowed), n=1)
    return f'did you mean "{close[0]}"?' if close else ""


def name_rule(given: str, allowed: Iterable[str]) -> str:
    """The rule that a name is one of these, with the closest before it."""
    names = list(allowed)
    return " ".join(part for part in (did_you_mean(given, names), f"allowed are {', '.join(names)}") if part)
