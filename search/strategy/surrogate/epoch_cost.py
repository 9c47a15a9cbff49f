"""How long an epoch of a configuration takes, learned from the trials, so that a proposal is worth its time.

A small network is tried many times while a large one trains once: what counts is the improvement a second (Snoek et al.
2012, "Practical Bayesian Optimization of Machine Learning Algorithms", their EI per second).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ENOUGH_TRIALS = 4  # trials with timed epochs that a model of their times needs
RIDGE_PENALTY = 0.1  # a slope of 3 over a parameter's range is as surprising as one misfit of 1


@dataclass(frozen=True)
class EpochCost:
    """Seconds of an epoch relative to the average trial: log-linear in the features and their squares.

    What makes an epoch long (width, depth, batches) multiplies, and most of it is searched on a log scale.

    Attributes:
        centre: The mean of the d features and of their squares, shape (2 d,).
        slopes: The slope of the logarithm in each, shape (2 d,).
    """

    centre: np.ndarray
    slopes: np.ndarray

    @classmethod
    def fitted(cls, features: np.ndarray, epoch_secs: np.ndarray) -> EpochCost | None:
        """Fit to features of shape (n, d) and positive seconds of shape (n,); None while there are too few."""
        if len(epoch_secs) < ENOUGH_TRIALS:
            return None
        terms, logs = _terms(features), np.log(epoch_secs)
        centre = terms.mean(0)
        centred = terms - centre
        penalty = RIDGE_PENALTY * np.eye(centred.shape[1])
        return cls(centre, np.linalg.solve(centred.T @ centred + penalty, centred.T @ (logs - logs.mean())))

    def factors(self, features: np.ndarray) -> np.ndarray:
        """How many times as long as the average trial's an epoch takes, shape (m,), for features of shape (m, d)."""
        return np.asarray(np.exp((_terms(features) - self.centre) @ self.slopes))


def _terms(features: np.ndarray) -> np.ndarray:
    return np.hstack([features, features**2])
