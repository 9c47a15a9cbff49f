"""Importance after early stopping: the order of what matters, and "cannot tell" where nothing can be said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.analysis.importance.importance import FEWEST_TRIALS, importance
from toprung.results.analysis.importance.joint_model import RungResults
from toprung.results.analysis.importance.parameter import Parameter
from toprung.spaces.definition.conditions import Condition

SPACE = [
    Parameter("rate", 1e-4, 1e-1, log=True),
    Parameter("kind", 0.0, 1.0, choices=("a", "b")),
    Parameter("depth", 1, 5, integer=True),
    Parameter("only_b", 0.0, 1.0, condition=Condition.parse("kind == 'b'")),
    Parameter("noise", 0.0, 1.0),
]
RUNGS = (1, 3, 9)


def stopped_early(trials: int, seed: int = 0, is_shuffled: bool = False) -> RungResults:
    """Random trials of which a third passes each rung; the rate matters most, then `only_b` where it exists."""
    rng = np.random.default_rng(seed)
    configs = []
    for _ in range(trials):
        config: dict[str, Any] = {one.name: one.value(rng.random()) for one in SPACE}
        if config["kind"] == "a":
            del config["only_b"]
        configs.append(config)
    heights = [
        -abs(math.log10(one["rate"]) + 2.5) + 0.8 * one.get("only_b", 0.5) + 0.05 * one["depth"]
        for one in configs
    ]
    if is_shuffled:
        heights = rng.permutation(heights).tolist()
    left, found = list(range(trials)), []
    for epoch in RUNGS:
        values = {i: heights[i] * (1 - math.exp(-epoch / 3)) + rng.normal(0, 0.02) for i in left}
        found += [(i, epoch, value) for i, value in values.items()]
        left = sorted(left, key=lambda i: -values[i])[: max(1, len(left) // 3)]
    numbers, epochs, values_found = zip(*found, strict=True)
    return RungResults(
        [configs[i] for i in numbers], np.array(numbers), np.array(epochs), np.array(values_found)
    )


def test_the_parameters_that_matter_come_first_and_conditional_ones_count_where_they_exist() -> None:
    found, model = importance(SPACE, stopped_early(120), RUNGS[-1])
    assert model is not None and found.r2 > 0.5 and not found.reason
    names = [one.name for one in found.parameters]
    assert names[0] == "rate" and {*names[1:3]} == {"kind", "only_b"}, "which kind it is decides on only_b"
    shares = {one.name: one.active_share for one in found.parameters}
    # Half of 512 draws of a Sobol sequence, which is even to one draw or so.
    assert shares["only_b"] == pytest.approx(0.5, abs=0.01)
    assert {shares[name] for name in ("rate", "kind", "depth", "noise")} == {1.0}
    indices = {one.name: one.index for one in found.parameters}
    assert indices["noise"] < 0.1 < indices["only_b"]


def test_it_cannot_tell_from_values_that_are_shuffled() -> None:
    told = [
        importance(SPACE, stopped_early(60, seed, is_shuffled=True), RUNGS[-1], seed)[0] for seed in range(6)
    ]
    assert sum(bool(one.parameters) for one in told) <= 1
    assert all(one.parameters or "has not seen" in one.reason for one in told)


def test_it_cannot_tell_from_few_trials_equal_values_or_a_space_without_choice() -> None:
    few = importance(SPACE, stopped_early(FEWEST_TRIALS - 1), RUNGS[-1])
    assert few[1] is None and f"fewer than {FEWEST_TRIALS}" in few[0].reason
    results = stopped_early(40)
    equal = RungResults(results.configs, results.trials, results.epochs, np.ones(len(results.values)))
    assert importance(SPACE, equal, RUNGS[-1])[0].reason == "all values are equal"
    assert importance([], results, RUNGS[-1])[0].reason == "the space leaves no choice"


@given(st.sampled_from(SPACE), st.floats(0, 1))
def test_a_quantile_is_a_value_that_the_parameter_allows_and_its_unit_lies_within(
    one: Parameter, unit: float
) -> None:
    value = one.value(unit)
    if one.choices:
        assert value in one.choices
    else:
        assert one.low * (1 - 1e-9) <= value <= one.high * (1 + 1e-9)
    assert 0.0 <= one.unit(value) <= 1.0
    assert one.unit("no such value") == -1.0
