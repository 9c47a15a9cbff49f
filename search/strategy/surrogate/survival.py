"""How likely a configuration is to be trained without failing, learned from the trials that failed and that lived.

A large learning rate may lead the first rungs and then diverge. Most trials like it are stopped at a rung before they
get so far, and their scores stay; what speaks against them are the few that went on. So improvement is weighed by the
chance that a trial lives to show it (Gelbart et al. 2014, "Bayesian Optimization with Unknown Constraints").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toprung.search.strategy.surrogate.gaussian_process import Gaussian

LEAST = 1e-3  # the chance of a configuration that is sure to fail, so that the others still have an order
ENOUGH_FAILURES = 2  # one failure has a cause of its own as often as not


@dataclass(frozen=True)
class Survival:
    """A process on 1 for trials that have outlived the failures, and 0 for those that failed.

    Attributes:
        share: The share of the former, which is expected where nothing is known.
        process: What is known beyond it.
    """

    share: float
    process: Gaussian

    @classmethod
    def fitted(cls, failed: np.ndarray, alive: np.ndarray, lengths: np.ndarray) -> Survival | None:
        """Fit to the features of the trials that failed, shape (n, d), and of those that lived, shape (m, d).

        None while hardly any has failed.
        """
        if len(failed) < ENOUGH_FAILURES:
            return None
        lived = np.append(np.zeros(len(failed)), np.ones(len(alive)))
        share = (len(alive) + 1.0) / (len(lived) + 2.0)
        return cls(share, Gaussian.condition(np.vstack([failed, alive]), lived - share, lengths))

    def chances(self, features: np.ndarray) -> np.ndarray:
        """The chance to be trained without failing, shape (m,), of features of shape (m, d)."""
        return np.clip(self.share + self.process.mean(features), LEAST, 1.0)
