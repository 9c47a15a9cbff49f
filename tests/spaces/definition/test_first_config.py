"""A space is marked with the configuration that is tried first."""

from __future__ import annotations

from typing import Any

from toprung.spaces.definition.first_config import first_config_of, tried_first


def test_a_marked_space_keeps_its_first_configuration() -> None:
    @tried_first({"width": 8})
    def space(trial: Any) -> dict[str, Any]:
        return {"width": 1}

    assert first_config_of(space) == {"width": 8}
    assert space(None) == {"width": 1}, "the mark does not change what the space draws"


def test_a_space_without_a_mark_has_none() -> None:
    assert first_config_of(lambda trial: {}) == {}
