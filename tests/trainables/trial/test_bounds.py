"""Bounds: what keeps them, by how much they are broken, and the same in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.objectives import BETTER, Objectives

VALUES = st.floats(0.0, 1e9)
LIMITS = st.none() | st.floats(1e-3, 1e9)


@given(value=VALUES, least=LIMITS, greatest=LIMITS)
def test_a_value_is_kept_exactly_where_it_is_within_the_limits(
    value: float, least: float | None, greatest: float | None
) -> None:
    bound = Bound("latency_ms", least, greatest)
    is_within = (least is None or value >= least) and (greatest is None or value <= greatest)
    assert (bound.excess(value) == 0.0) == is_within
    assert bound.excess(value) >= 0.0


@given(limit=st.floats(1e-3, 1e6), share=st.floats(0.01, 100.0))
def test_the_excess_is_a_share_of_the_limit_and_grows_with_the_distance(limit: float, share: float) -> None:
    greatest = Bound("latency_ms", greatest=limit)
    assert greatest.excess(limit * (1.0 + share)) == pytest.approx(share, rel=1e-6)
    assert greatest.excess(limit * (1.0 + 2.0 * share)) > greatest.excess(limit * (1.0 + share))
    assert Bound("latency_ms", least=limit).excess(0.0) == 1.0


@given(values=st.dictionaries(st.sampled_from(list(BETTER)), VALUES), limit=st.floats(1e-3, 1e6))
def test_the_violation_adds_up_what_is_known_to_be_broken(values: dict[str, float], limit: float) -> None:
    bounds = Bounds(tuple(Bound(name, greatest=limit) for name in sorted(BETTER)))
    broken = sum(max(0.0, (value - limit) / limit) for value in values.values())
    if broken:
        assert bounds.violation(values) == pytest.approx(broken)
    elif len(values) < len(BETTER):
        assert math.isnan(bounds.violation(values)), "none is known to be broken, and one is unknown"
    assert bounds.are_kept(values) == (not broken and len(values) == len(BETTER))
    assert bool(bounds.broken_in_words(values)) == bool(broken)


def test_without_bounds_everything_is_kept() -> None:
    assert Bounds().violation({}) == 0.0 and Bounds().are_kept({}) and not Bounds()
    assert Objectives.named(["val_loss"]).bounds == Bounds()


def test_a_value_that_is_not_a_number_keeps_no_bound_and_breaks_none() -> None:
    bounds = Bounds((Bound("val_loss", greatest=0.5),))
    assert math.isnan(bounds.violation({"val_loss": math.nan}))
    assert (
        not bounds.are_kept({"val_loss": math.nan}) and bounds.broken_in_words({"val_loss": math.nan}) == ""
    )


def test_bounds_and_what_breaks_them_are_told_in_words() -> None:
    bounds = Bounds(
        (Bound("latency_ms", greatest=5.0), Bound("parameter_count", 1000.0, 1e6), Bound("val_accuracy", 0.9))
    )
    assert str(bounds) == (
        "latency_ms at most 5, parameter_count at least 1,000 and at most 1,000,000, val_accuracy at least 0.9"
    )
    broken = bounds.broken_in_words({"latency_ms": 7.2, "parameter_count": 500.0, "val_accuracy": 0.95})
    assert broken == "latency_ms 7.2 (44.0% beyond 5), parameter_count 500 (50.0% beyond 1,000)"


def test_what_is_measured_of_the_model_is_told_apart() -> None:
    bounds = Bounds((Bound("parameter_count", greatest=1e6), Bound("val_loss", greatest=1.0)))
    wanted = Objectives.named(["val_accuracy", "latency_ms", "parameter_count"], bounds)
    assert wanted.measured == ("val_accuracy", "latency_ms", "parameter_count", "val_loss")
    assert wanted.of_model == ("latency_ms", "parameter_count")
