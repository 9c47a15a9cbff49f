"""The Gaussian process: its predictions, compared with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from toprung.search.strategy.surrogate.gaussian_process import (
    NOISE_SHARES,
    Gaussian,
    cholesky,
    correlation,
    triangular_solve,
)


def noise_shares(process: Gaussian) -> np.ndarray:
    """The noise variance of each point over the signal variance: the diagonal of the factored matrix less 1."""
    return np.asarray((process.factor**2).sum(axis=1) - 1.0)


def reference(process: Gaussian, values: np.ndarray) -> GaussianProcessRegressor:
    """scikit-learn's process with the same hyperparameters."""
    kernel = ConstantKernel(process.signal) * Matern(process.lengths, nu=2.5)
    regressor = GaussianProcessRegressor(kernel, alpha=process.signal * noise_shares(process), optimizer=None)
    return regressor.fit(process.points, values)


@pytest.mark.parametrize("dims", [1, 4])
def test_correlations_are_scikit_learns_matern_kernel(dims: int) -> None:
    rng = np.random.default_rng(0)
    left, right, lengths = rng.random((9, dims)), rng.random((5, dims)), rng.uniform(0.1, 3.0, dims)
    np.testing.assert_allclose(
        correlation(left, right, lengths), Matern(lengths, nu=2.5)(left, right), rtol=1e-10
    )


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_predictions_are_scikit_learns_at_the_same_hyperparameters(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    points, others = rng.random((30, 3)), rng.random((50, 3))
    values = np.sin(5 * points[:, 0]) + points[:, 1] + noise * rng.normal(size=30)
    process = Gaussian.condition(points, values - values.mean(), np.array([0.4, 1.0, 5.0]))
    assert np.isclose(noise_shares(process)[0], np.add(NOISE_SHARES, 1e-8)).any()
    expected_mean, expected_deviation = reference(process, values - values.mean()).predict(
        others, return_std=True
    )
    mean, variance = process.predict(others)
    # The smallest noise share makes the condition of the matrix 1e6 at worst: ten of sixteen digits are left.
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(variance, expected_deviation**2, rtol=1e-6)
    np.testing.assert_allclose(process.mean(others), mean)


def test_a_process_conditioned_on_its_means_is_scikit_learns_with_them_as_values() -> None:
    rng = np.random.default_rng(0)
    points, pending, others = rng.random((20, 2)), rng.random((4, 2)), rng.random((30, 2))
    values = np.sin(5 * points[:, 0])
    process = Gaussian.condition(points, values, np.array([0.3, 1.0]))
    believer = process.condition_on_mean(pending)
    expected = reference(believer, np.concatenate([values, process.mean(pending)]))
    expected_mean, expected_deviation = expected.predict(others, return_std=True)
    mean, variance = believer.predict(others)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(variance, expected_deviation**2, rtol=1e-5)


def test_a_process_returns_its_observations_and_is_unsure_between_them() -> None:
    points = np.array([[0.0], [0.5], [1.0]])
    process = Gaussian.condition(points, np.array([0.0, 1.0, 0.0]), np.array([0.3]))
    mean, variance = process.predict(np.array([[0.5], [0.25]]))
    assert mean[0] == pytest.approx(1.0, abs=0.05)
    assert variance[1] > 10 * variance[0]


def test_a_handful_of_results_is_not_taken_for_noise_and_many_results_of_noise_are() -> None:
    def kept(values: np.ndarray, points: np.ndarray, length: float) -> float:
        """The share of the values' spread that the process keeps."""
        process = Gaussian.condition(points, values - values.mean(), np.full(points.shape[1], length))
        return float(process.mean(points).std() / values.std())

    few = [np.random.default_rng(seed).random((4, 5)) for seed in range(40)]
    # By likelihood alone 0.15 of the spread is left in the worst of these draws.
    assert min(kept(points.sum(axis=1), points, 0.5 * np.sqrt(5.0)) for points in few) > 0.5
    many = [np.random.default_rng(seed) for seed in range(20)]
    assert np.mean([kept(rng.normal(size=64), rng.random((64, 3)), 0.3) for rng in many]) < 0.5


def test_a_pending_point_lowers_the_variance_around_it_and_leaves_the_means() -> None:
    rng = np.random.default_rng(0)
    points, others = rng.random((10, 2)), rng.random((5, 2))
    process = Gaussian.condition(points, points[:, 0], np.array([0.5, 0.5]))
    believer = process.condition_on_mean(others[:1])
    assert believer.predict(others)[0] == pytest.approx(process.predict(others)[0])
    assert believer.predict(others)[1][0] < 0.1 * process.predict(others)[1][0]


def test_a_matrix_that_is_not_positive_definite_has_no_factor() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="leading minor 2"):
        cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_a_factor_solves_both_triangular_systems() -> None:
    points = np.random.default_rng(0).random((6, 2))
    matrix = correlation(points, points, np.ones(2)) + 0.1 * np.eye(6)
    factor, right = cholesky(matrix), np.arange(1.0, 7.0)
    np.testing.assert_allclose(factor @ factor.T, matrix)
    half = triangular_solve(factor, right)
    np.testing.assert_allclose(matrix @ triangular_solve(factor, half, transposed=True), right)
