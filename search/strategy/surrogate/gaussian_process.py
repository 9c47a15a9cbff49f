"""A small Gaussian process in numpy: Matern 5/2, a length scale a dimension (Rasmussen & Williams 2006, ch. 2, 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs
from scipy.optimize import minimize

SQRT5 = float(np.sqrt(5.0))
NOISE_SHARES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # noise variance over signal variance, tried in turn
LOG_NOISE, LOG_NOISE_DEVIATION = -4.0, 2.0  # normal prior of its logarithm: 0.02, a factor of 7 either way
FIT_STEPS = 20


def correlation(left: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Matern 5/2 correlations, shape (n, m), of points of shape (n, d) and (m, d)."""
    scaled, other = left / lengths, right / lengths
    square = scaled @ (-2.0 * other.T)
    square += (scaled**2).sum(1)[:, None]
    square += (other**2).sum(1)[None, :]
    np.maximum(square, 0.0, out=square)
    return _matern(np.sqrt(square, out=square))


def _matern(distance: np.ndarray) -> np.ndarray:
    scaled = SQRT5 * distance
    kernel = scaled / 3.0
    kernel += 1.0
    kernel *= scaled
    kernel += 1.0
    np.negative(scaled, out=scaled)
    kernel *= np.exp(scaled, out=scaled)
    return kernel


# LAPACK's own routines, for matrices so small that checks and copies on the way to them would cost as much again: a
# proposal does a hundred. They take and give matrices in the order of Fortran.
def cholesky(matrix: np.ndarray) -> np.ndarray:
    """The lower triangular factor of a symmetric matrix, zeros above it. Raises LinAlgError when there is none."""
    factor, failed = dpotrf(matrix.T, lower=1)
    if failed:
        raise np.linalg.LinAlgError(f"not positive definite: leading minor {failed}")
    return np.asarray(factor)


def triangular_solve(factor: np.ndarray, right: np.ndarray, transposed: bool = False) -> np.ndarray:
    """The solution x of factor x = right for a lower triangular factor, or for its transpose."""
    return np.asarray(dtrtrs(factor, right, lower=1, trans=int(transposed))[0])


def _noise_loss(log_share: float) -> float:
    """Minus the log density of the noise's prior, but for a constant."""
    return 0.5 * ((log_share - LOG_NOISE) / LOG_NOISE_DEVIATION) ** 2


@dataclass(frozen=True)
class Fit:
    """Length scales, shape (d,), and the noise variance over the signal variance that goes with them."""

    lengths: np.ndarray
    noise: float


def fit_lengths(points: np.ndarray, values: np.ndarray) -> Fit:
    """Length scales and noise of greatest posterior probability for standardised values.

    The prior on each log length is normal with mean sqrt(2) + log(d) / 2 and deviation sqrt(3): it grows with the
    dimension, so that unknown dimensions count little (Hvarfner et al. 2024, "Vanilla Bayesian Optimization Performs
    Great in High Dimensions").
    """
    count, dims = points.shape
    squares = ((points[:, None, :] - points[None, :, :]) ** 2).reshape(count * count, dims)
    mean, deviation = np.sqrt(2.0) + 0.5 * np.log(dims), np.sqrt(3.0)
    identity = np.eye(count)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        inverse = np.exp(-2.0 * theta[:dims])
        scaled = SQRT5 * np.sqrt(squares @ inverse).reshape(count, count)
        rise, decay = 1.0 + scaled, np.exp(-scaled)
        noise = np.exp(theta[dims])
        try:
            factor = cholesky((rise + scaled**2 / 3.0) * decay + (noise + 1e-6) * identity)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros(dims + 1)
        alpha = dpotrs(factor, values, lower=1)[0]
        precision = dpotrs(factor, identity, lower=1)[0]
        # The signal variance is profiled out; one pseudo-observation keeps it from vanishing.
        signal = (values @ alpha + 1.0) / (count + 1.0)
        log_det = 2.0 * np.log(np.diag(factor)).sum()
        prior = 0.5 * (((theta[:dims] - mean) / deviation) ** 2).sum() + _noise_loss(float(theta[dims]))
        weight = precision - np.outer(alpha, alpha) / signal
        slope = -(5.0 / 6.0) * rise * decay * weight
        by_length = -(slope.ravel() @ squares) * inverse
        gradient = np.append(
            by_length + (theta[:dims] - mean) / deviation**2,
            0.5 * noise * np.trace(weight) + (theta[dims] - LOG_NOISE) / LOG_NOISE_DEVIATION**2,
        )
        return 0.5 * ((count + 1.0) * np.log(signal) + log_det) + prior, gradient

    bounds = [(np.log(0.05), np.log(50.0))] * dims + [(-12.0, 1.0)]
    found = minimize(
        loss,
        np.append(np.zeros(dims), LOG_NOISE),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": FIT_STEPS},
    )
    return Fit(np.exp(found.x[:dims]), float(np.exp(found.x[dims])))


@dataclass(frozen=True)
class Gaussian:
    """A zero-mean process conditioned on values; `signal` is its variance, `factor` the Cholesky factor."""

    points: np.ndarray
    lengths: np.ndarray
    factor: np.ndarray
    weights: np.ndarray
    signal: float

    @classmethod
    def condition(cls, points: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> Gaussian:
        """Condition on values, choosing the noise share of the greatest posterior probability.

        Likelihood alone takes a handful of results for noise and nothing else, whatever they are.
        """
        kernel, identity, spread = correlation(points, points, lengths), np.eye(len(points)), values.var()
        best: tuple[float, Gaussian] | None = None
        for share in NOISE_SHARES:
            factor = cholesky(kernel + (share + 1e-8) * identity)
            whitened = triangular_solve(factor, values)
            signal = float((whitened @ whitened + spread) / (len(values) + 1.0)) + 1e-12
            likelihood = -0.5 * len(values) * np.log(signal) - np.log(np.diag(factor)).sum()
            loss = _noise_loss(np.log(share)) - likelihood
            if best is None or loss < best[0]:
                best = (
                    loss,
                    cls(points, lengths, factor, triangular_solve(factor, whitened, transposed=True), signal),
                )
        assert best is not None
        return best[1]

    def mean(self, points: np.ndarray) -> np.ndarray:
        """The mean at points of shape (m, d), shape (m,): a fraction of what the variance costs."""
        return np.asarray(correlation(points, self.points, self.lengths) @ self.weights)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance at points of shape (m, d), noise left out; both of shape (m,)."""
        cross = correlation(points, self.points, self.lengths)
        mean = cross @ self.weights
        explained = triangular_solve(self.factor, cross.T)
        return mean, self.signal * np.maximum(1.0 - (explained**2).sum(0), 1e-10)

    def condition_on_mean(self, points: np.ndarray) -> Gaussian:
        """The same process, sure of its own means at further points (the kriging believer, Ginsbourger et al. 2010)."""
        cross = triangular_solve(self.factor, correlation(self.points, points, self.lengths))
        own = correlation(points, points, self.lengths) + 1e-4 * np.eye(len(points))
        corner = cholesky(own - cross.T @ cross)
        size = len(self.points)
        factor = np.zeros((size + len(points), size + len(points)), order="F")
        factor[:size, :size], factor[size:, :size], factor[size:, size:] = self.factor, cross.T, corner
        # The values there are the process's own means, so the old weights stay and the new ones are zero.
        weights = np.concatenate([self.weights, np.zeros(len(points))])
        return Gaussian(np.vstack([self.points, points]), self.lengths, factor, weights, self.signal)
