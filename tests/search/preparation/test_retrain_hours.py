"""A winner from scratch is worth two thirds of its search's hours; a pretrained one no more epochs than its trial."""

from __future__ import annotations

import pytest

from toprung.search.preparation.retrain_hours import retrain_hours


@pytest.mark.parametrize(("space", "hours"), [("cnn", 0.2), ("my_models.py:Mine", 0.2), ("transfer", None)])
def test_the_hours_follow_from_those_of_the_search(space: str, hours: float | None) -> None:
    assert retrain_hours(0.3, space) == (None if hours is None else pytest.approx(hours))
