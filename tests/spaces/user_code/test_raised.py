"""What a user's code raises is told with the line of the user's file, whoever called it and wherever it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space
from toprung.spaces.user_code.raised import raised
from toprung.spaces.user_code.references import resolve
from toprung.trainables.trial.failures import catch_failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELPED = """
import json


def space(trial):
    return {"width": helped(trial)}


def helped(trial):
    return json.loads("no json")
"""


def _of(folder: Path, text: str, name: str = "space") -> Callable[..., object]:
    (folder / "mine.py").write_text(text)
    found: Callable[..., object] = resolve(f"{folder / 'mine.py'}:{name}", "space.name")
    return found


def _refused(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text)
    with pytest.raises(InputError) as refused:
        load_space(f"{folder / 'mine.py'}:space")
    return str(refused.value)


def test_the_innermost_line_of_the_users_file_is_named_where_a_library_raises(tmp_path: Path) -> None:
    assert "JSONDecodeError: Expecting value: line 1 column 1 (char 0) (mine.py line 10);" in _refused(
        tmp_path, HELPED
    )


def test_a_file_that_does_not_load_is_named_with_its_line(tmp_path: Path) -> None:
    assert "fails to load: ZeroDivisionError: division by zero (mine.py line 2);" in _refused(
        tmp_path, "x = 1\nx / 0\n"
    )
    assert "fails to load: SyntaxError: invalid syntax (mine.py, line 2);" in _refused(
        tmp_path, "x = 1\ndef =\n"
    )


def test_a_trial_that_fails_in_a_users_file_says_in_which_line(tmp_path: Path) -> None:
    space = _of(tmp_path, HELPED)
    failure = catch_failure(lambda: space(None) and None)
    assert failure.reason.endswith("(char 0) (mine.py line 10)")


def test_a_call_that_does_not_suit_the_users_function_names_no_line_of_ours(tmp_path: Path) -> None:
    assert "takes 0 positional arguments but 1 was given; fix" in _refused(
        tmp_path, "def space():\n    pass\n"
    )


def test_an_exception_that_cannot_be_shown_is_named_by_its_type(tmp_path: Path) -> None:
    broken = "class Odd(Exception):\n    __str__ = 0\n\n\ndef space(trial):\n    raise Odd\n"
    assert "Odd: a text that cannot be shown (TypeError) (mine.py line 6)" in _refused(tmp_path, broken)
    assert raised(KeyError()) == "KeyError"
