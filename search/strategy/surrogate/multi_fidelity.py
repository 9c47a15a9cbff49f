"""A multi-fidelity model: one Gaussian process a rung, on what the rung below leaves unexplained.

The score at a rung is modelled as a + b * (prediction of the rung below) + a process of its own (Kennedy & O'Hagan
2000, "Predicting the output from a complex computer code when fast approximations are available": b is their rho). Low
rungs have many results and high rungs few, so the low ones steer the first proposals and the high ones correct them; a
low rung that predicts nothing gets b near 0 and drops out by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.gaussian_process import Gaussian
from toprung.search.strategy.surrogate.length_scales import winsorised


@dataclass(frozen=True)
class RungData:
    """The results of one rung.

    Attributes:
        rows: As `Encoding.row` gives them, shape (n, columns).
        scores: Finite scores, shape (n,).
        pending: The rows of running trials that have not reached the rung, shape (m, columns).
    """

    rows: np.ndarray
    scores: np.ndarray
    pending: np.ndarray

    def leaders(self, count: int) -> np.ndarray:
        """The rows of the best scores."""
        return self.rows[np.argsort(-self.scores, kind="stable")[:count]]


@dataclass(frozen=True)
class _Level:
    """The model of one rung, given the predictions of the rung below."""

    intercept: float
    slope: float
    process: Gaussian

    def mean(self, below: np.ndarray, features: np.ndarray) -> np.ndarray:
        return np.asarray(self.intercept + self.slope * below + self.process.mean(features))

    def predict(
        self, mean: np.ndarray, variance: np.ndarray, features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        own_mean, own_variance = self.process.predict(features)
        return self.intercept + self.slope * mean + own_mean, self.slope**2 * variance + own_variance


class MultiFidelityModel:
    """The processes of all rungs, lowest first; predicts the score at the highest.

    Args:
        encoding: Turns rows into features.
        rungs: The results of each rung, lowest first.
        scales: The length scales of each rung, shape (features,); None takes those of the rung below.
    """

    def __init__(
        self, encoding: Encoding, rungs: Sequence[RungData], scales: Sequence[np.ndarray | None]
    ) -> None:
        self._encoding = encoding
        self._levels: list[_Level] = []
        # Half the cube's diagonal: random points are the further apart the more dimensions there are, and with scales
        # that do not grow alike no two points would be correlated.
        lengths = np.full(encoding.width, 0.5 * np.sqrt(encoding.width))
        for rung, fitted in zip(rungs, scales, strict=True):
            lengths = lengths if fitted is None else fitted
            self._levels.append(self._level(rung, lengths))

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the score at rows of shape (n, columns); both of shape (n,)."""
        features = self._encoding.features(rows)
        mean, variance = np.zeros(len(features)), np.zeros(len(features))
        for level in self._levels:
            mean, variance = level.predict(mean, variance, features)
        return mean, variance

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """The mean alone, shape (n,)."""
        return self._mean(self._encoding.features(rows))

    def _mean(self, features: np.ndarray) -> np.ndarray:
        mean = np.zeros(len(features))
        for level in self._levels:
            mean = level.mean(mean, features)
        return mean

    def _level(self, rung: RungData, lengths: np.ndarray) -> _Level:
        features, scores = self._encoding.features(rung.rows), winsorised(rung.scores)
        below = self._mean(features)
        intercept, slope = linear_fit(below, scores) if self._levels else (float(scores.mean()), 0.0)
        process = Gaussian.condition(features, scores - intercept - slope * below, lengths)
        if len(rung.pending):
            # A running trial is assumed to reach its prediction: nothing is left to learn at its place.
            process = process.condition_on_mean(self._encoding.features(rung.pending))
        return _Level(intercept, slope, process)


def linear_fit(below: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Intercept and slope (at least 0) of the scores on the predictions from below, both of shape (n,).

    The fit has two pseudo-results of slope 1.
    """
    centred = below - below.mean()
    spread = float(centred @ centred)
    if spread <= 0.0:
        return float(scores.mean() - below.mean()), 1.0
    prior = 2.0 * spread / len(below)
    slope = max(0.0, float((centred @ (scores - scores.mean()) + prior) / (spread + prior)))
    return float(scores.mean() - slope * below.mean()), slope
