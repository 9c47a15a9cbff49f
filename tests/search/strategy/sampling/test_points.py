"""Points, keys of configurations and derived seeds."""

from __future__ import annotations

import numpy as np
from optuna.distributions import IntDistribution

from toprung.search.strategy.sampling.points import Point, config_key, subseed


def test_a_key_does_not_depend_on_the_order_of_the_names() -> None:
    assert config_key({"a": 1, "b": None}) == config_key({"b": None, "a": 1})
    assert config_key({"a": 1}) != config_key({"a": "1"})


def test_keys_of_large_arrays_differ_where_the_arrays_do() -> None:
    mask = np.zeros(3000)
    other = mask.copy()
    other[1500] = 1.0
    assert config_key({"mask": mask}) == config_key({"mask": mask.copy()})
    assert config_key({"mask": mask}) != config_key({"mask": other})


def test_parameters_that_the_configuration_holds_changed_or_not_at_all_are_outside_it() -> None:
    depth = IntDistribution(1, 3)
    point = Point(
        {"depth": 2, "units": 64, "kind": "cnn"},
        {"depth": 2, "units": 6, "log_rate": -3},
        {"depth": depth, "units": depth, "log_rate": depth},
    )
    assert point.params_outside_config == {"units": 6, "log_rate": -3}


def test_a_derived_seed_is_the_same_in_every_process_and_version() -> None:
    assert subseed(7, "weights", 3) == 308593759
    assert subseed(7, "weights", 4) != subseed(7, "weights", 3)
    assert 0 <= subseed("any", None, 1.5) < 2**31
