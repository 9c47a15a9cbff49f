"""Errors in the user's input: where it stands, what was given, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input; `str()` is the one line that the user sees.

    where: the key of the job file, the option of the command line or the file, such as "space.fixed.filters".
    given: the value that was found there.
    allowed: the rule that it breaks, or what to write instead.
    """

    where: str
    given: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.given}; {self.allowed}"


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
