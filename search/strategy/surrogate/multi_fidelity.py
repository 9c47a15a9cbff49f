"""A multi-fidelity model: one Gaussian process a rung, on what the rung below leaves unexplained.

The score at a rung is modelled as a + b * (prediction of the rung below) + c * (what the trial scored there beyond the
prediction) + a process of its own (Kennedy & O'Hagan 2000, "Predicting the output from a complex computer code when
fast approximations are available": b is their rho; Le Gratiet & Garnier 2014 take the scores of the rung below as they
were observed, as c does). Low rungs have many results and high rungs few, so the low ones steer the first proposals and
the high ones correct them; a low rung that predicts nothing gets b near 0 and drops out by itself.

Only the best of a rung reach the next one. Which those are depends on their scores alone, so that a fit that is given
those scores is not biased by the selection (Rubin 1976, "Inference and missing data": missing at random). Without c it
would be: a survivor of whom little was predicted has scored more than that, and keeps it, so that b comes out too low.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.gaussian_process import Gaussian
from toprung.search.strategy.surrogate.length_scale_fit import typical_length
from toprung.search.strategy.surrogate.length_scales import winsorised

PSEUDO_RESULTS = 2.0  # results that the prior, slopes of 1, is worth


@dataclass(frozen=True)
class RungData:
    """The results of one rung.

    Attributes:
        rows: As `Encoding.row` gives them, shape (n, columns).
        scores: Finite scores, shape (n,).
        pending: The rows of running trials that have not reached the rung, shape (m, columns).
        below: The scores of the same trials at the rung below, shape (n,), NaN where there is none; None: nowhere.
        failed: The rows of trials that failed, shape (k, columns); None: no trial did.
    """

    rows: np.ndarray
    scores: np.ndarray
    pending: np.ndarray
    below: np.ndarray | None = None
    failed: np.ndarray | None = None

    def leaders(self, count: int) -> np.ndarray:
        """The rows of the best scores."""
        return self.rows[np.argsort(-self.scores, kind="stable")[:count]]


@dataclass(frozen=True)
class Link:
    """How the scores at a rung follow from the rung below.

    Attributes:
        intercept: a.
        slope: b, of the prediction; at least 0.
        persistence: c, of what a trial scored beyond the prediction.
    """

    intercept: float
    slope: float
    persistence: float

    @classmethod
    def fitted(
        cls, predicted: np.ndarray, beyond: np.ndarray, scores: np.ndarray, spreads: tuple[float, float]
    ) -> Link:
        """Fit by least squares.

        Args:
            predicted: The prediction of the rung below, shape (n,).
            beyond: What each trial scored there beyond it, shape (n,).
            scores: The scores at this rung, shape (n,).
            spreads: The variances of `predicted` and `beyond` over all trials of the rung below. The prior is two
                trials drawn from those: the survivors, who are much alike, have to be many to outweigh it.
        """
        inputs = np.column_stack([predicted, beyond])
        centre = inputs.mean(0)
        centred = inputs - centre
        prior = PSEUDO_RESULTS * np.maximum(spreads, 1e-12)
        products = centred.T @ centred + np.diag(prior)
        slopes = np.linalg.solve(products, centred.T @ (scores - scores.mean()) + prior)
        slope, persistence = max(0.0, float(slopes[0])), float(slopes[1])
        intercept = float(scores.mean() - slope * centre[0] - persistence * centre[1])
        return cls(intercept, slope, persistence)


@dataclass(frozen=True)
class _Level:
    """The model of one rung, given the predictions of the rung below."""

    link: Link
    process: Gaussian
    spreads: tuple[float, float]
    floor: float

    def mean(self, below: np.ndarray, features: np.ndarray) -> np.ndarray:
        return np.asarray(self.link.intercept + self.link.slope * below + self.process.mean(features))

    def predict(
        self, mean: np.ndarray, variance: np.ndarray, features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        own_mean, own_variance = self.process.predict(features)
        slope = self.link.slope
        return self.link.intercept + slope * mean + own_mean, slope**2 * variance + own_variance


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
        lengths = np.full(encoding.width, typical_length(encoding.width))
        for rung, fitted in zip(rungs, scales, strict=True):
            lengths = lengths if fitted is None else fitted
            self._levels.append(self._level(rung, lengths))

    @property
    def lengths(self) -> np.ndarray:
        """The length scales of the lowest rung, which has most results; shape (features,)."""
        return self._levels[0].process.lengths

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
        count = len(rung.scores)
        # A failed trial scores as the worst one does; the link between the rungs is that of the others alone.
        failed = np.zeros((0, rung.rows.shape[1])) if rung.failed is None else rung.failed
        features = self._encoding.features(np.vstack([rung.rows, failed]))
        scores = winsorised(np.append(rung.scores, np.full(len(failed), rung.scores.min())))
        below, beyond = self._mean(features), np.zeros(len(scores))
        link = Link(float(scores.mean()), 0.0, 0.0)
        if self._levels:
            beyond[:count] = self._beyond(rung, below[:count])
            link = Link.fitted(below[:count], beyond[:count], scores[:count], self._levels[-1].spreads)
        predicted = link.intercept + link.slope * below
        own = scores - predicted - link.persistence * beyond
        own[count:] = np.minimum(own[count:], 0.0)  # where worse is predicted already, worse it stays
        process = Gaussian.condition(features, own, lengths)
        fitted = (predicted + process.mean(features))[:count]
        if len(rung.pending):
            # A running trial is assumed to reach its prediction: nothing is left to learn at its place.
            process = process.condition_on_mean(self._encoding.features(rung.pending))
        spreads = float(fitted.var()), float((scores[:count] - fitted).var())
        return _Level(link, process, spreads, float(scores.min()))

    def _beyond(self, rung: RungData, below: np.ndarray) -> np.ndarray:
        """What each trial scored at the rung below beyond the prediction; 0 where it has no score there."""
        if rung.below is None:
            return np.zeros(len(below))
        # Raised as the rung below raised its own scores.
        observed = np.maximum(rung.below, self._levels[-1].floor)
        return np.asarray(np.where(np.isnan(observed), 0.0, observed - below))
