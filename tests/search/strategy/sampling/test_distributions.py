"""Values of distributions: which are allowed, and the way to a quantile and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from toprung.search.strategy.sampling.distributions import allows, from_unit, rounded_to_grid, spans, to_unit

UNIT = st.floats(0.0, 1.0)
DISTRIBUTIONS = [
    FloatDistribution(-1.0, 3.0),
    FloatDistribution(1e-4, 1e-1, log=True),
    FloatDistribution(0.0, 1.0, step=0.25),
    IntDistribution(1, 5),
    IntDistribution(16, 512, log=True),
    IntDistribution(2, 11, step=3),
    CategoricalDistribution(["a", "b", None]),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
@given(unit=UNIT)
def test_a_value_survives_the_way_to_its_quantile_and_back(distribution: Any, unit: float) -> None:
    value = from_unit(unit, distribution)
    assert allows(distribution, value)
    again = from_unit(to_unit(value, distribution), distribution)
    assert again == (pytest.approx(value) if isinstance(distribution, FloatDistribution) else value)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
@given(unit=UNIT)
def test_a_rounded_quantile_is_the_one_of_its_value(distribution: Any, unit: float) -> None:
    rounded = float(rounded_to_grid(np.array([unit]), distribution)[0])
    assert rounded == pytest.approx(to_unit(from_unit(rounded, distribution), distribution), abs=1e-6)
    assert from_unit(rounded, distribution) == pytest.approx(from_unit(min(unit, 1 - 1e-9), distribution))


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (FloatDistribution(0.0, 1.0, step=0.25), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (IntDistribution(1, 5), [1, 2, 3, 4, 5]),
        (IntDistribution(2, 11, step=3), [2, 5, 8, 11]),
        (CategoricalDistribution(["a", "b", None]), ["a", "b", None]),
    ],
    ids=repr,
)
def test_discrete_values_share_the_quantiles_equally(distribution: Any, values: list[Any]) -> None:
    drawn = [from_unit(unit, distribution) for unit in np.linspace(0.0, 1.0, 4000)]
    counts = [drawn.count(value) for value in values]
    assert sum(counts) == 4000
    # An even share is 4000 / values; where a quantile meets the edge of two cells, either may have it.
    assert max(counts) - min(counts) <= 2


def test_logarithmic_whole_numbers_take_the_quantiles_around_them() -> None:
    distribution = IntDistribution(16, 512, log=True)
    values = [from_unit(unit, distribution) for unit in np.linspace(0.0, 1.0, 20_000)]
    assert set(values) == set(range(16, 513))
    # 16 has the quantiles of 15.5 to 16.5 on a log scale: log(16.5 / 15.5) / log(512.5 / 15.5) = 0.0179.
    assert values.count(16) / len(values) == pytest.approx(0.0179, abs=2e-4)


def test_a_value_off_its_steps_is_within_the_range_but_not_allowed() -> None:
    stepped = FloatDistribution(0.0, 1.0, step=0.1)
    assert allows(stepped, 0.3), "0.3 / 0.1 is 2.9999999999999996"
    assert spans(stepped, 0.35) and not allows(stepped, 0.35)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), 0, 6])
def test_what_is_no_number_or_out_of_range_is_not_within_it(value: Any) -> None:
    assert not spans(IntDistribution(1, 5), value)
