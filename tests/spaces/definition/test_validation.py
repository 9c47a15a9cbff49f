"""A job's fixed values and ranges are held against the parameters of a space, one problem for each misfit."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from toprung.spaces.definition.bounds import COUNT, Bounds
from toprung.spaces.definition.overrides import Choices, Interval
from toprung.spaces.definition.validation import (
    bounds_rule,
    fixed_problems,
    parse_fixed_texts,
    parse_numbers,
    parse_ranges,
    parse_text_ranges,
)

PARAMETERS: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "blocks": IntDistribution(1, 4),
    "batch": CategoricalDistribution((32, 64)),
    "head": CategoricalDistribution(("average", "flatten")),
    "flip": CategoricalDistribution((True, False)),
}
LIMITS = {"rate": Bounds(0, 1), "blocks": COUNT}


def upper(text: str) -> str:
    if not text.isalpha():
        raise ValueError("must be letters")
    return text.upper()


def test_scientific_notation_is_read_as_numbers_at_any_depth() -> None:
    given = {"rate": "1e-3", "list": ["5E-3", 2], "range": {"low": "1.5e+2"}, "name": "e5", "none": None}
    assert parse_numbers(given) == {
        "rate": 1e-3,
        "list": [5e-3, 2],
        "range": {"low": 150.0},
        "name": "e5",
        "none": None,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", 0), ("rate", 1.0), ("blocks", 9), ("batch", 48), ("head", "flatten"), ("flip", True)],
)
def test_a_fixed_value_may_lie_outside_the_range_but_not_outside_its_limits(name: str, value: Any) -> None:
    assert list(fixed_problems({name: value}, PARAMETERS, LIMITS)) == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("rate", 1.5, "space.fixed.rate: got 1.5; must be a number from 0 to 1"),
        ("rate", "fast", "space.fixed.rate: got 'fast'; must be a finite number"),
        ("rate", float("nan"), "space.fixed.rate: got nan; must be a finite number"),
        ("rate", True, "space.fixed.rate: got True; must be a finite number"),
        ("blocks", 2.0, "space.fixed.blocks: got 2.0; must be a whole number"),
        ("blocks", -1, "space.fixed.blocks: got -1; must be a whole number from 0"),
        ("batch", "64", "space.fixed.batch: got '64'; must be one of [32, 64]"),
        ("head", "flat", "space.fixed.head: got 'flat'; must be one of ['average', 'flatten']"),
        ("flip", 1, "space.fixed.flip: got 1; must be one of [True, False]"),
        ("rates", 1, 'space.fixed.rates: the space has no such parameter; did you mean "rate"?'),
        (
            "zzz",
            1,
            "space.fixed.zzz: the space has no such parameter; it has rate, blocks, batch, head, flip",
        ),
    ],
)
def test_a_fixed_value_that_does_not_fit_is_one_problem(name: str, value: Any, line: str) -> None:
    assert [str(problem) for problem in fixed_problems({name: value}, PARAMETERS, LIMITS)] == [line]


@pytest.mark.parametrize(
    ("name", "given", "parsed"),
    [
        ("rate", [1e-3, 1e-2], Interval(1e-3, 1e-2)),
        ("rate", {"low": 1e-3, "high": 1e-2}, Interval(1e-3, 1e-2)),
        ("rate", {"choices": [1e-3, 1e-2, 1e-3]}, Choices((1e-3, 1e-2))),
        ("blocks", [2, 2], Interval(2, 2)),
        ("batch", [64], Choices((64,))),
        ("head", ("flatten",), Choices(("flatten",))),
    ],
)
def test_a_range_is_an_interval_or_choices(name: str, given: Any, parsed: Any) -> None:
    assert parse_ranges({name: given}, PARAMETERS) == ({name: parsed}, [])


@pytest.mark.parametrize(
    ("name", "given", "rule"),
    [
        ("rate", [1e-2, 1e-3], "low 0.01 is above high 0.001; low must not be above high"),
        ("rate", [1e-3, 1.0], "got [0.001, 1.0]; must be a finite number within [0.0001, 0.1]"),
        ("rate", ["a", 1.0], "both must be a finite number"),
        ("rate", 1e-3, "got 0.001; write [low, high], {low: , high: } or {choices: [...]}"),
        ("rate", {"low": 1e-3}, "write [low, high]"),
        ("rate", {"choices": []}, "choices must be a list of a finite number"),
        ("blocks", [1.5, 2], "both must be a whole number"),
        ("batch", [64, 128], "got choices [128]; each must be one of [32, 64]"),
        ("head", "flatten", "got 'flatten'; choices must be a list of one of ['average', 'flatten']"),
        ("rates", [0, 1], "the space has no such parameter"),
    ],
)
def test_a_range_that_does_not_fit_is_one_problem(name: str, given: Any, rule: str) -> None:
    parsed, problems = parse_ranges({name: given, "flip": [True]}, PARAMETERS)
    assert parsed == {"flip": Choices((True,))}, "the others are kept"
    (problem,) = problems
    assert problem.where == f"space.ranges.{name}"
    assert rule in str(problem)


def test_fixed_texts_are_checked_and_put_in_the_form_of_the_space() -> None:
    fixed = {"good": "abc", "bad": "a1", "number": 3, "unchecked": "x"}
    valid, problems = parse_fixed_texts(fixed, dict.fromkeys(("good", "bad", "number", "absent"), upper))
    assert valid == {"good": "ABC"}
    assert sorted(map(str, problems)) == [
        "space.fixed.bad: got 'a1'; must be letters",
        "space.fixed.number: got 3; must be a text",
    ]


def test_ranges_of_texts_are_lists_of_checked_texts() -> None:
    ranges = {
        "list": ["a", "b", "A"],
        "choices": {"choices": ["c"]},
        "text": "abc",
        "empty": [],
        "bad": ["a", "1"],
    }
    valid, problems = parse_text_ranges(ranges, dict.fromkeys(ranges, upper))
    assert valid == {"list": Choices(("A", "B")), "choices": Choices(("C",))}
    assert sorted(map(str, problems)) == [
        "space.ranges.bad: got '1'; must be letters",
        "space.ranges.empty: got []; write {choices: [...]}, a list of texts",
        "space.ranges.text: got 'abc'; write {choices: [...]}, a list of texts",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rate", "a finite number within [0.0001, 0.1]"),
        ("blocks", "a whole number within [1, 4]"),
        ("head", "one of ['average', 'flatten']"),
    ],
)
def test_a_range_is_put_in_words(name: str, words: str) -> None:
    assert bounds_rule(PARAMETERS[name]) == words
