"""Length scales and noise of a Gaussian process by their posterior (Rasmussen & Williams 2006, ch. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrs
from scipy.optimize import minimize

from toprung.search.strategy.surrogate.gaussian_process import (
    LOG_NOISE,
    LOG_NOISE_DEVIATION,
    SQRT5,
    cholesky,
    noise_loss,
)

LOG_LENGTH_BOUNDS = (float(np.log(0.05)), float(np.log(50.0)))
LOG_NOISE_BOUNDS = (-12.0, 1.0)
FIT_STEPS = 20


def typical_length(dims: int) -> float:
    """The length scale that is expected before results show another: half the diagonal of the cube.

    Random points are the further apart the more dimensions there are. With lengths that do not grow alike no two
    points would be correlated.
    """
    return float(0.5 * np.sqrt(dims))


@dataclass(frozen=True)
class Fit:
    """Length scales, shape (d,), and the noise variance over the signal variance that goes with them."""

    lengths: np.ndarray
    noise: float


class LengthScalePosterior:
    """The posterior of the logarithms of d length scales and of the noise share.

    The prior on each log length is normal, around `typical_length` and with a deviation of 1. Hvarfner et al. 2024
    ("Vanilla Bayesian Optimization Performs Great in High Dimensions") have it grow with the dimension alike, from
    eight times that length and with a deviation of sqrt(3). From a few tens of results that gave a model of one or two
    parameters that is several times too sure of itself.

    Args:
        points: Shape (n, d).
        values: Standardised values, shape (n,).
    """

    def __init__(self, points: np.ndarray, values: np.ndarray) -> None:
        count, self.dims = points.shape
        squares = (points[:, None, :] - points[None, :, :]) ** 2
        self._squares = squares.reshape(count * count, self.dims)
        self._values = values
        self._identity = np.eye(count)
        self._mean = np.log(typical_length(self.dims))

    def loss(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log posterior up to a constant, and its gradient.

        The signal variance is profiled out; one pseudo-observation keeps it from vanishing.

        Args:
            theta: The d log length scales and the log noise share, shape (d + 1,).

        Returns:
            The loss, and its gradient of shape (d + 1,); 1e10 and zeros where the kernel is not positive definite.
        """
        values, count = self._values, len(self._values)
        log_lengths, log_noise = theta[: self.dims], theta[self.dims]
        inverse = np.exp(-2.0 * log_lengths)
        scaled = SQRT5 * np.sqrt(self._squares @ inverse).reshape(count, count)
        rise, decay = 1.0 + scaled, np.exp(-scaled)
        noise = np.exp(log_noise)
        try:
            factor = cholesky((rise + scaled**2 / 3.0) * decay + (noise + 1e-6) * self._identity)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros(self.dims + 1)
        alpha = dpotrs(factor, values, lower=1)[0]
        precision = dpotrs(factor, self._identity, lower=1)[0]
        signal = (values @ alpha + 1.0) / (count + 1.0)
        log_det = 2.0 * np.log(np.diag(factor)).sum()
        surprise = log_lengths - self._mean
        prior = 0.5 * (surprise**2).sum() + noise_loss(float(log_noise))
        weight = precision - np.outer(alpha, alpha) / signal
        slope = -(5.0 / 6.0) * rise * decay * weight
        by_length = -(slope.ravel() @ self._squares) * inverse
        gradient = np.append(
            by_length + surprise,
            0.5 * noise * np.trace(weight) + (log_noise - LOG_NOISE) / LOG_NOISE_DEVIATION**2,
        )
        return 0.5 * ((count + 1.0) * np.log(signal) + log_det) + prior, gradient


def fit_lengths(points: np.ndarray, values: np.ndarray) -> Fit:
    """Length scales and noise of greatest posterior probability, from points (n, d) and standardised values (n,)."""
    posterior = LengthScalePosterior(points, values)
    dims = posterior.dims
    found = minimize(
        posterior.loss,
        np.append(np.zeros(dims), LOG_NOISE),
        jac=True,
        method="L-BFGS-B",
        bounds=[LOG_LENGTH_BOUNDS] * dims + [LOG_NOISE_BOUNDS],
        options={"maxiter": FIT_STEPS},
    )
    return Fit(np.exp(found.x[:dims]), float(np.exp(found.x[dims])))
