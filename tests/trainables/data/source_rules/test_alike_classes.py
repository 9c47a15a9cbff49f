"""Classes whose names a reader cannot tell apart are named."""

from __future__ import annotations

import pytest

from toprung.trainables.data.source_rules.alike_classes import about_alike_classes
from toprung.trainables.data.source_rules.first_names import MOST


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (("Cat", "cat", "dog"), "'Cat' and 'cat'"),
        (("a", "a ", "A", "b"), "'a' and 'a ' and 'A'"),
        (("caf\u00e9", "cafe\u0301"), r"'caf\u00e9' and 'cafe\u0301'".replace(r"\u00e9", "\u00e9")),
        (("red  fox", "red fox", "x", "X"), "'red  fox' and 'red fox', 'x' and 'X'"),
    ],
)
def test_names_that_look_alike_are_named(classes: tuple[str, ...], named: str) -> None:
    (line,) = about_alike_classes(classes)
    assert line == f"classes with names that look alike are classes of their own: {named}"


def test_other_names_are_not_and_many_are_counted() -> None:
    assert list(about_alike_classes(("1", "10", "a b", "ab", "e", "\u00e9"))) == []
    (line,) = about_alike_classes([name for number in range(8) for name in (f"a{number}", f"A{number}")])
    assert line.endswith(f" and {8 - MOST} more")
