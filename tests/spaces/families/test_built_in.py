"""Every built-in name leads to a space and a model family; other names are references to user code."""

from __future__ import annotations

import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.families.built_in import BUILT_IN, Registration, registration_of
from toprung.spaces.families.registry import load_space


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_name_is_a_space_that_can_be_loaded(name: str) -> None:
    assert registration_of(name) == BUILT_IN[name]
    assert load_space(name).name == name


def test_a_reference_is_space_and_family_at_once() -> None:
    assert registration_of("mine.py:Family") == Registration("mine.py:Family", "mine.py:Family")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cnnn", 'did you mean "cnn"'), ("resnet152", 'known: cnn, .*, or write "module:function"')],
)
def test_an_unknown_name_is_refused_with_the_known_ones(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=rf"space\.name: unknown space '{name}'; {hint}"):
        registration_of(name)
