"""A small Gaussian process in numpy: Matern 5/2 with a length scale a dimension (Rasmussen & Williams 2006, ch. 2).

Not scikit-learn's GaussianProcessRegressor, which has no priors on the noise and the length scales and imports slowly;
the tests compare the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtrs

SQRT5 = float(np.sqrt(5.0))
NOISE_SHARES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # noise variance over signal variance, tried in turn
LOG_NOISE, LOG_NOISE_DEVIATION = (
    -4.0,
    2.0,
)  # normal prior of the share's logarithm: 0.02, a factor of 7 either way


def correlation(left: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Matern 5/2 correlations, shape (n, m), of points of shape (n, d) and (m, d); `lengths` has shape (d,)."""
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


# LAPACK's routines and not scipy.linalg's functions over them, whose checks and copies take several times as long as
# such small matrices do: a proposal calls them a hundred times. They take and return matrices in Fortran's order.
def cholesky(matrix: np.ndarray) -> np.ndarray:
    """The lower triangular factor of a symmetric matrix, with zeros above its diagonal.

    Raises:
        LinAlgError: The matrix is not positive definite.
    """
    factor, failed = dpotrf(matrix.T, lower=1)
    if failed:
        raise np.linalg.LinAlgError(f"not positive definite: leading minor {failed}")
    return np.asarray(factor)


def triangular_solve(factor: np.ndarray, right: np.ndarray, transposed: bool = False) -> np.ndarray:
    """The solution x of factor x = right for a lower triangular factor, or for its transpose."""
    return np.asarray(dtrtrs(factor, right, lower=1, trans=int(transposed))[0])


def noise_loss(log_share: float) -> float:
    """Minus the log density of the prior on the noise share, up to a constant."""
    return 0.5 * ((log_share - LOG_NOISE) / LOG_NOISE_DEVIATION) ** 2


@dataclass(frozen=True)
class Gaussian:
    """A zero-mean Gaussian process, conditioned on values at n points of d dimensions.

    Attributes:
        points: Shape (n, d).
        lengths: The length scales, shape (d,).
        factor: The Cholesky factor of the correlations with the noise share on their diagonal, shape (n, n).
        weights: The weight of each point in the mean, shape (n,).
        signal: The signal variance.
    """

    points: np.ndarray
    lengths: np.ndarray
    factor: np.ndarray
    weights: np.ndarray
    signal: float

    @classmethod
    def condition(cls, points: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> Gaussian:
        """Condition on finite values of shape (n,), with the noise share of the greatest posterior probability.

        Likelihood alone would explain a handful of results as noise and nothing else, whatever they are.
        """
        kernel, identity, spread = correlation(points, points, lengths), np.eye(len(points)), values.var()
        best: tuple[float, Gaussian] | None = None
        for share in NOISE_SHARES:
            factor = cholesky(kernel + (share + 1e-8) * identity)
            whitened = triangular_solve(factor, values)
            signal = float((whitened @ whitened + spread) / (len(values) + 1.0)) + 1e-12
            likelihood = -0.5 * len(values) * np.log(signal) - np.log(np.diag(factor)).sum()
            loss = noise_loss(np.log(share)) - likelihood
            if best is None or loss < best[0]:
                weights = triangular_solve(factor, whitened, transposed=True)
                best = loss, cls(points, lengths, factor, weights, signal)
        assert best is not None
        return best[1]

    def mean(self, points: np.ndarray) -> np.ndarray:
        """The mean at points of shape (m, d), shape (m,): a fraction of what the variance costs."""
        return np.asarray(correlation(points, self.points, self.lengths) @ self.weights)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance at points of shape (m, d), without noise; both of shape (m,)."""
        cross = correlation(points, self.points, self.lengths)
        mean = cross @ self.weights
        explained = triangular_solve(self.factor, cross.T)
        return mean, self.signal * np.maximum(1.0 - (explained**2).sum(0), 1e-10)

    def condition_on_mean(self, points: np.ndarray) -> Gaussian:
        """Condition on the process's own means at further points (kriging believer, Ginsbourger et al. 2010)."""
        cross = triangular_solve(self.factor, correlation(self.points, points, self.lengths))
        own = correlation(points, points, self.lengths) + 1e-4 * np.eye(len(points))
        corner = cholesky(own - cross.T @ cross)
        size = len(self.points)
        factor = np.zeros((size + len(points), size + len(points)), order="F")
        factor[:size, :size], factor[size:, :size], factor[size:, size:] = self.factor, cross.T, corner
        # The values there are the process's own means, so the old weights stay and the new ones are zero.
        weights = np.concatenate([self.weights, np.zeros(len(points))])
        return Gaussian(np.vstack([self.points, points]), self.lengths, factor, weights, self.signal)
