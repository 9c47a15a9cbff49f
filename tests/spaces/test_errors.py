"""An error in the input carries every problem, each one line, and keeps them across process borders."""

from __future__ import annotations

import pickle

from toprung.spaces.errors import InputError, Problem, did_you_mean, name_rule

FIRST, SECOND = Problem("data.path", "nowhere", "a folder"), Problem("space.name", "cnnn", "cnn")


def test_a_problem_is_one_line_of_place_value_and_rule() -> None:
    assert str(FIRST) == "data.path: nowhere; a folder"


def test_an_error_has_a_line_for_each_problem() -> None:
    assert str(InputError([FIRST, SECOND])).splitlines() == [str(FIRST), str(SECOND)]
    assert InputError.single("data.path", "nowhere", "a folder").problems == (FIRST,)


def test_a_pickled_error_keeps_its_problems() -> None:
    error = pickle.loads(pickle.dumps(InputError([FIRST, SECOND])))
    assert error.problems == (FIRST, SECOND)
    assert str(error) == str(InputError([FIRST, SECOND]))


def test_a_close_name_is_suggested() -> None:
    assert did_you_mean("fliter", ["filters", "blocks"]) == 'did you mean "filters"?'
    assert did_you_mean("zzz", ["filters", "blocks"]) == ""
    assert name_rule("fliter", ["filters", "blocks"]) == 'did you mean "filters"? allowed are filters, blocks'
    assert name_rule("zzz", ["filters", "blocks"]) == "allowed are filters, blocks"
