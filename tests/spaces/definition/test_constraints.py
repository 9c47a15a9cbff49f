"""A space is marked with the limits of its numbers and the checks of its texts."""

from __future__ import annotations

from typing import Any

from toprung.spaces.definition.bounds import POSITIVE, SHARE, Bounds
from toprung.spaces.definition.constraints import Constraints, constraints_of
from toprung.spaces.definition.recipe_vocabulary import RECIPE


def plain(trial: Any) -> dict[str, Any]:
    return {}


def test_a_marked_space_has_its_own_limits_and_those_of_the_recipe() -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {"width": 3}

    marked = Constraints(limits={"width": POSITIVE}, text_checks={"stack": str.strip})(space)
    assert marked is space and marked(None) == {"width": 3}
    constraints = constraints_of(space)
    assert constraints.limits == {**RECIPE, "width": POSITIVE}
    assert constraints.text_checks == {"stack": str.strip}


def test_a_space_may_set_a_limit_of_the_recipe_anew() -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {}

    Constraints(limits={"momentum": SHARE})(space)
    assert constraints_of(space).limits["momentum"] == SHARE


def test_a_space_without_a_mark_has_the_limits_of_the_recipe() -> None:
    assert constraints_of(plain) == Constraints(RECIPE)


def test_an_attribute_of_a_users_space_with_the_same_name_is_ignored() -> None:
    class Theirs:
        constraints = {"learning_rate": Bounds(0, 1)}  # noqa: RUF012 - as a user may write it

    assert constraints_of(Theirs()) == Constraints(RECIPE)
