"""Limits hold the numbers between them and say so in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from toprung.spaces.definition.bounds import COUNT, POSITIVE, RATE, SHARE, Bounds


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (Bounds(), [0, 1e-9, 7, math.inf], [-1e-9, math.nan, "1", None]),
        (Bounds(0.1, 10.0), [0.1, 10, np.float64(3)], [0.09, 10.01]),
        (SHARE, [0, 0.5, 1.0], [-0.1, 1.1]),
        (RATE, [0.0, 0.99], [1.0]),
        (COUNT, [0, 5, np.int64(5)], [-1, 0.5, 5.0]),
        (POSITIVE, [1, 10**6], [0, 1.5, "1"]),
    ],
)
def test_numbers_between_the_limits_are_held(bounds: Bounds, inside: list[Any], outside: list[Any]) -> None:
    assert [value for value in inside if not bounds.holds(value)] == []
    assert [value for value in outside if bounds.holds(value)] == []


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(), "a number from 0"),
        (SHARE, "a number from 0 to 1"),
        (POSITIVE, "a whole number from 1"),
        (Bounds(0, 13, integer=True), "a whole number from 0 to 13"),
    ],
)
def test_limits_are_put_in_words(bounds: Bounds, words: str) -> None:
    assert str(bounds) == words
