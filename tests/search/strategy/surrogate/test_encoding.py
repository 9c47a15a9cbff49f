"""Configurations as rows of numbers, with conditional parameters and choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.sampling.samplers import sample
from toprung.search.strategy.surrogate.encoding import Encoding


def test_rows_hold_nan_where_a_trial_lacks_a_parameter(conditional_space: Any) -> None:
    points = [sample(conditional_space, "random", 0, number) for number in range(20)]
    encoding = Encoding.of(points)
    assert [column.name for column in encoding.columns] == ["dropout", "family", "layers", "rate"]
    for point in points:
        row = encoding.row(point)
        assert np.isnan(row[0]) == (point.config["family"] == "deep")
        assert encoding.params(row).keys() == point.params.keys()
    features = encoding.features(np.array([encoding.row(point) for point in points]))
    assert features.shape == (20, encoding.width) and np.isfinite(features).all()


def test_the_category_that_decides_which_parameters_exist_is_found() -> None:
    def space(trial: Any) -> dict[str, Any]:
        config = {"family": trial.suggest_categorical("family", ["a", "b"])}
        config["loss"] = trial.suggest_categorical("loss", ["x", "y", "z"])
        if config["family"] == "a":
            config["depth"] = trial.suggest_int("depth", 1, 9)
        return config

    points = [sample(space, "random", 0, number) for number in range(30)]
    encoding = Encoding.of(points)
    rows = np.array([encoding.row(point) for point in points])
    found = dict(
        zip([column.name for column in encoding.columns], encoding.gating_columns(rows).tolist(), strict=True)
    )
    assert found == {"depth": False, "family": True, "loss": False}


def test_a_new_parameter_is_noticed() -> None:
    known = Point({"a": 1}, {"a": 1}, {"a": IntDistribution(1, 3)})
    wider = Point(
        {"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": IntDistribution(1, 3), "b": IntDistribution(1, 3)}
    )
    assert not Encoding.of([known]).lacks(known)
    assert Encoding.of([known]).lacks(wider)


def test_two_choices_are_as_far_apart_as_the_ends_of_a_number() -> None:
    distributions = {"kind": CategoricalDistribution(["a", "b", "c"]), "x": FloatDistribution(0.0, 1.0)}
    points = [
        Point({}, {"kind": kind, "x": x}, distributions) for kind, x in [("a", 0.0), ("b", 0.0), ("a", 1.0)]
    ]
    encoding = Encoding.of(points)
    one, other_kind, other_x = encoding.features(np.array([encoding.row(point) for point in points]))
    assert np.linalg.norm(one - other_kind) == 1.0 == np.linalg.norm(one - other_x)


def test_a_parameter_without_a_choice_has_no_column() -> None:
    point = Point({}, {"a": 1, "b": 2}, {"a": IntDistribution(1, 1), "b": IntDistribution(1, 3)})
    assert [column.name for column in Encoding.of([point]).columns] == ["b"]


def by_optimizer(trial: Any) -> dict[str, Any]:
    optimizer = trial.suggest_categorical("optimizer", ["adam", "lion", "sgd"])
    low, high = {"adam": (1e-4, 1e-2), "lion": (1e-5, 1e-3), "sgd": (1e-2, 1.0)}[optimizer]
    return {"optimizer": optimizer, "rate": trial.suggest_float("rate", low, high, log=True)}


def test_a_range_that_follows_from_a_category_is_one_feature_and_the_category_decides_it() -> None:
    points = [sample(by_optimizer, "random", 0, number) for number in range(30)]
    encoding = Encoding.of(points)
    rows = np.array([encoding.row(point) for point in points])
    assert [column.name for column in encoding.columns] == ["optimizer", "rate", "rate", "rate"]
    assert encoding.gating_columns(rows).tolist() == [True, False, False, False]
    assert (~np.isnan(rows)).sum(axis=1).tolist() == [2] * 30
    features = encoding.features(rows)
    assert features.shape == (30, encoding.width) == (30, 3 + 1)
    for point, row, rate in zip(points, rows, features[:, -1], strict=True):
        # The middle of each range, on its log scale, is the same to the model.
        low = {"adam": -4.0, "lion": -5.0, "sgd": -2.0}[point.config["optimizer"]]
        assert rate == pytest.approx((np.log10(point.config["rate"]) - low) / 2)
        assert encoding.params(row) == pytest.approx(point.params)


def test_bounds_that_follow_another_number_share_one_column() -> None:
    def space(trial: Any) -> dict[str, Any]:
        first = trial.suggest_int("first", 10, 100)
        return {"first": first, "second": trial.suggest_int("second", 1, first)}

    points = [sample(space, "random", 0, number) for number in range(40)]
    encoding = Encoding.of(points)
    assert [column.name for column in encoding.columns] == ["first", "second"]
    assert not any(encoding.lacks(point) for point in points)
    assert not np.isnan([encoding.row(point) for point in points]).any()


def test_choices_that_are_numbers_lie_in_their_order_whatever_the_order_of_their_list() -> None:
    batch, kind = CategoricalDistribution([64, 16, 256]), CategoricalDistribution([64, "auto", 256])
    points = [
        Point({}, {"batch": value, "kind": 64}, {"batch": batch, "kind": kind}) for value in (16, 64, 256)
    ]
    encoding = Encoding.of(points)
    assert encoding.width == 1 + 3
    features = encoding.features(np.array([encoding.row(one) for one in points]))
    assert features[:, 0].tolist() == [0.0, 0.5, 1.0]
    without = np.array([encoding.row(Point({}, {"kind": 64}, {"kind": kind}))])
    assert encoding.features(without)[0, 0] == 0.5, "a missing number is no distance from the average trial"


def test_switches_have_no_order() -> None:
    switch = CategoricalDistribution([True, False])
    assert Encoding.of([Point({}, {"on": True}, {"on": switch})]).width == 2
