"""The fit of length scales: its loss is the posterior, its gradient is the loss's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from toprung.search.strategy.surrogate.gaussian_process import LOG_NOISE, LOG_NOISE_DEVIATION
from toprung.search.strategy.surrogate.length_scale_fit import (
    LOG_LENGTH_BOUNDS,
    LOG_NOISE_BOUNDS,
    LengthScalePosterior,
    fit_lengths,
    typical_length,
)

DIMS = 3
THETAS = [
    np.array([0.0, 0.0, 0.0, LOG_NOISE]),
    np.array([-1.5, 0.5, 2.0, -2.0]),
    np.array([1.0, -2.0, 3.0, 0.5]),
    np.array([LOG_LENGTH_BOUNDS[0], 0.3, LOG_LENGTH_BOUNDS[1], LOG_NOISE_BOUNDS[0]]),
]


@pytest.fixture
def results() -> tuple[np.ndarray, np.ndarray]:
    """Points, two of them equal, and standardised values."""
    rng = np.random.default_rng(0)
    points = rng.random((20, DIMS))
    points[1] = points[0]
    values = np.sin(5 * points[:, 0]) + points[:, 1] + 0.1 * rng.normal(size=20)
    return points, (values - values.mean()) / values.std()


def log_posterior(theta: np.ndarray, points: np.ndarray, values: np.ndarray) -> float:
    """Up to a constant, by scikit-learn's likelihood at the most probable signal variance.

    Our pseudo-observation is a prior of the signal variance s, with the density s^(-1/2) exp(-1 / (2 s)).
    """
    lengths, share = np.exp(theta[:DIMS]), np.exp(theta[DIMS]) + 1e-6
    kernel = Matern(lengths, nu=2.5)
    fit = values @ np.linalg.solve(kernel(points) + share * np.eye(len(values)), values)
    signal = (fit + 1.0) / (len(values) + 1.0)
    process = GaussianProcessRegressor(ConstantKernel(signal) * kernel, alpha=signal * share, optimizer=None)
    likelihood = process.fit(points, values).log_marginal_likelihood_value_
    signal_prior = -0.5 * np.log(signal) - 0.5 / signal
    length_prior = norm.logpdf(theta[:DIMS], np.log(typical_length(DIMS)), 1.0).sum()
    noise_prior = norm.logpdf(theta[DIMS], LOG_NOISE, LOG_NOISE_DEVIATION)
    return float(likelihood + signal_prior + length_prior + noise_prior)


@pytest.mark.parametrize("theta", THETAS[1:])
def test_the_loss_is_minus_the_log_posterior_with_scikit_learns_likelihood(
    theta: np.ndarray, results: tuple[np.ndarray, np.ndarray]
) -> None:
    posterior = LengthScalePosterior(*results)
    difference = posterior.loss(theta)[0] - posterior.loss(THETAS[0])[0]
    expected = log_posterior(THETAS[0], *results) - log_posterior(theta, *results)
    assert difference == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("theta", THETAS)
def test_the_gradient_is_that_of_the_loss(theta: np.ndarray, results: tuple[np.ndarray, np.ndarray]) -> None:
    posterior = LengthScalePosterior(*results)
    step = 1e-6
    numeric = [
        (posterior.loss(theta + one)[0] - posterior.loss(theta - one)[0]) / (2 * step)
        for one in step * np.eye(DIMS + 1)
    ]
    # The loss is of order 10, rounded at 1e-15 of it, times a condition of 1e6 at worst, over the step: 1e-3; where
    # the matrix is well conditioned the difference is far smaller.
    tolerance = 1e-3 if theta is THETAS[-1] else 1e-6
    np.testing.assert_allclose(posterior.loss(theta)[1], numeric, rtol=tolerance, atol=tolerance)


def test_the_fit_is_no_worse_than_its_start_and_within_its_bounds(
    results: tuple[np.ndarray, np.ndarray],
) -> None:
    fit = fit_lengths(*results)
    theta = np.append(np.log(fit.lengths), np.log(fit.noise))
    posterior = LengthScalePosterior(*results)
    assert posterior.loss(theta)[0] < posterior.loss(THETAS[0])[0]
    assert np.all((theta[:DIMS] >= LOG_LENGTH_BOUNDS[0]) & (theta[:DIMS] <= LOG_LENGTH_BOUNDS[1]))
    assert LOG_NOISE_BOUNDS[0] <= theta[DIMS] <= LOG_NOISE_BOUNDS[1]


def test_length_scales_show_which_parameter_matters() -> None:
    points = np.random.default_rng(0).random((40, 2))
    values = np.sin(6 * points[:, 0])
    lengths = fit_lengths(points, (values - values.mean()) / values.std()).lengths
    assert lengths[1] > 5 * lengths[0]
