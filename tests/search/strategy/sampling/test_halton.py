"""Quasi-random points: even, random access, and the same in every process."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from toprung.search.strategy.sampling.halton import PRIMES, HaltonSampler, halton


def test_quasi_random_points_fill_every_cell_of_a_parameter_evenly() -> None:
    units = np.array([halton(0, 1, index) for index in range(81)])
    assert np.bincount((units * 9).astype(int)).tolist() == [9] * 9


@pytest.mark.parametrize("dimension", [0, 5, len(PRIMES) - 1, len(PRIMES)])
def test_coordinates_lie_in_the_unit_interval_and_depend_on_the_seed(dimension: int) -> None:
    units = [halton(0, dimension, index) for index in range(50)]
    assert all(0.0 <= unit < 1.0 for unit in units)
    assert len(set(units)) == 50
    assert units == [halton(0, dimension, index) for index in range(50)]
    assert units != [halton(1, dimension, index) for index in range(50)]


def test_the_points_are_spread_more_evenly_than_random_ones() -> None:
    from scipy.stats import qmc

    points = np.array([[halton(0, dimension, index) for dimension in range(4)] for index in range(256)])
    random = [qmc.discrepancy(np.random.default_rng(seed).random((256, 4))) for seed in range(20)]
    # Random points have a squared discrepancy of order 1/n, Halton's of order (log n)^8 / n^2: no random set of 20
    # comes close to it.
    assert qmc.discrepancy(points) < 0.5 * min(random)


def test_each_parameter_of_a_trial_takes_the_next_coordinate() -> None:
    def space(trial: Any) -> list[float]:
        return [trial.suggest_float(name, 0.0, 1.0) for name in ("x", "y", "z")]

    study = optuna.create_study(sampler=HaltonSampler(seed=3, index=7))
    assert space(study.ask()) == [halton(3, dimension, 7) for dimension in range(3)]
