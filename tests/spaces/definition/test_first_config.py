"""A space is marked with the configurations that are tried first."""

from __future__ import annotations

from typing import Any

from toprung.spaces.definition.first_config import first_configs_of, tried_first


def test_a_marked_space_keeps_its_first_configurations_in_their_order() -> None:
    @tried_first({"width": 8}, {"width": 2})
    def space(trial: Any) -> dict[str, Any]:
        return {"width": 1}

    assert first_configs_of(space) == ({"width": 8}, {"width": 2})
    assert space(None) == {"width": 1}, "the mark does not change what the space draws"


def test_a_space_without_a_mark_has_none() -> None:
    assert first_configs_of(lambda trial: {}) == ()
