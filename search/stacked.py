"""One Gaussian process a rung, each on what the rung below leaves unexplained, and proposals by expected improvement.

The rung's value is modelled as a + b * (prediction of the rung below) + a process of its own (Kennedy & O'Hagan 2000,
"Predicting the output from a complex computer code when fast approximations are available": b is their rho). Low rungs
have many results and high rungs few, so the low ones steer the first proposals and the high ones correct them; a low
rung that predicts nothing gets b near 0 and drops out by itself. Expected improvement: Jones et al. 1998.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from search.cost import EpochCost
from search.encoding import Encoding
from search.gaussian import Fit, Gaussian, fit_lengths
from search.ladder import Rung, milestone

FITTED = 64  # results the length scales are fitted to at most
NOISY = 0.15  # noise over signal variance among the best results from which luck may have picked them
CANDIDATES = 128  # spread over the space, and as many around the best
CENTRES = 10  # known trials that candidates are placed around


@dataclass(frozen=True)
class RungData:
    """Results of one rung: rows as `Encoding.row` gives them, their scores, and the rows still on their way."""

    rows: np.ndarray
    scores: np.ndarray
    pending: np.ndarray

    def leaders(self, count: int) -> np.ndarray:
        """The rows of the best scores."""
        return self.rows[np.argsort(-self.scores, kind="stable")[:count]]


@dataclass(frozen=True)
class _Level:
    intercept: float
    slope: float
    process: Gaussian

    def above(
        self, mean: np.ndarray, variance: np.ndarray, features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        own_mean, own_variance = self.process.predict(features)
        return self.intercept + self.slope * mean + own_mean, self.slope**2 * variance + own_variance


class Stack:
    """The processes of all rungs, lowest first; predicts the score at the highest."""

    def __init__(
        self, encoding: Encoding, rungs: Sequence[RungData], scales: Sequence[np.ndarray | None]
    ) -> None:
        self._encoding = encoding
        self._levels: list[_Level] = []
        # Half the cube's diagonal: random points lie the further apart the more dimensions there are, and with scales
        # that do not grow alike they would all be strangers.
        below = np.full(encoding.width, 0.5 * np.sqrt(encoding.width))
        for rung, own in zip(rungs, scales, strict=True):
            below = below if own is None else own
            self._levels.append(self._level(rung, below))

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the score at rows of shape (n, columns); both of shape (n,)."""
        features = self._encoding.features(rows)
        mean, variance = np.zeros(len(features)), np.zeros(len(features))
        for level in self._levels:
            mean, variance = level.above(mean, variance, features)
        return mean, variance

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """The mean alone, shape (n,)."""
        return self._mean(self._encoding.features(rows))

    def _mean(self, features: np.ndarray) -> np.ndarray:
        mean = np.zeros(len(features))
        for level in self._levels:
            mean = level.intercept + level.slope * mean + level.process.mean(features)
        return mean

    def _level(self, rung: RungData, lengths: np.ndarray) -> _Level:
        features, scores = self._encoding.features(rung.rows), winsorised(rung.scores)
        below = self._mean(features)
        intercept, slope = line(below, scores) if self._levels else (float(scores.mean()), 0.0)
        process = Gaussian.condition(features, scores - intercept - slope * below, lengths)
        if len(rung.pending):
            # A running trial is taken to turn out as predicted: nobody is sent to the same place twice.
            process = process.believing(self._encoding.features(rung.pending))
        return _Level(intercept, slope, process)


class LengthScales:
    """Length scales by rung, refitted each time a rung has grown by a quarter: a function of its first results."""

    def __init__(self) -> None:
        self._fitted: dict[tuple[int, int, bool], list[np.ndarray | None]] = {}

    def due(self, rung: Rung, encoding: Encoding) -> bool:
        """Whether the rung has grown so that `of` would fit anew."""
        return self._enough(rung, encoding) and self._key(rung) not in self._fitted

    def of(
        self,
        rung: Rung,
        points: Container[int],
        row: Callable[[int], np.ndarray],
        encoding: Encoding,
    ) -> np.ndarray | None:
        """Length scales of the features at a rung, shape (features,); None while it has too few results of its own.

        The rung's scores are in order of arrival; `row` gives the row of a trial among `points`. Several objectives
        have theirs each, which serve every weighting.
        """
        if self.due(rung, encoding):
            later = set(rung.latest(len(rung) - milestone(len(rung))))
            self._fitted[self._key(rung)] = [
                _lengths(
                    [n for n in one.best_first() if n in points and n not in later], one.scores, row, encoding
                )
                for one in rung.by_objective()
            ]
        return joined(rung.weights, self._fitted[self._key(rung)]) if self._enough(rung, encoding) else None

    def _enough(self, rung: Rung, encoding: Encoding) -> bool:
        return milestone(len(rung)) >= 2 * len(encoding.columns)

    def _key(self, rung: Rung) -> tuple[int, int, bool]:
        # Earlier runs have rungs of the same epochs: their trial numbers are negative.
        return rung.epoch, milestone(len(rung)), next(iter(rung.scores)) < 0


def joined(weights: Sequence[float], scales: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The length scales of a weighted sum of objectives; None is one that does not vary.

    An inverse length is a slope, and the squared slope of the sum is that of its parts, the weights squared too, where
    these do not depend on each other. It is told in proportion, so that equal scales stay what they are.
    """
    told = [(weight, own) for weight, own in zip(weights, scales, strict=True) if own is not None]
    if len(told) < 2:
        return told[0][1] if told else None
    steepness = sum(weight**2 * own**-2.0 for weight, own in told) / sum(weight**2 for weight, _ in told)
    return np.asarray(steepness**-0.5)


def _lengths(
    ranked: Sequence[int],
    scores: Mapping[int, float],
    row: Callable[[int], np.ndarray],
    encoding: Encoding,
) -> np.ndarray | None:
    """Length scales fitted to the best of the trials ranked, or to some of every rank where the best are lucky ones.

    What sets the best apart from the good is what a proposal needs to know. But the best of many noisy results differ
    from the good ones by luck more than by anything else, and then only the whole ranking tells what matters.
    """

    def fitted(numbers: Sequence[int]) -> Fit | None:
        return _fit([scores[n] for n in numbers], [row(n) for n in numbers], encoding)

    found = fitted(ranked[:FITTED])
    if found is not None and found.noise > NOISY and len(ranked) > FITTED:
        evenly = np.linspace(0, len(ranked) - 1, FITTED).astype(int)
        found = fitted([ranked[rank] for rank in evenly]) or found
    return found.lengths if found else None


def _fit(scores: list[float], rows: list[np.ndarray], encoding: Encoding) -> Fit | None:
    values = winsorised(np.array(scores)) if scores else np.zeros(0)
    if not len(values) or values.std() == 0.0:
        return None
    return fit_lengths(encoding.features(np.array(rows)), (values - values.mean()) / values.std())


def propose(
    encoding: Encoding,
    stack: Stack,
    known: np.ndarray,
    leaders: np.ndarray,
    rng: np.random.Generator,
    cost: EpochCost | None = None,
) -> dict[str, Any]:
    """The candidate of the greatest expected improvement over the best prediction for one of the `leaders`.

    With `cost` it is the greatest improvement for the time it takes.
    Half the candidates are spread over the space, half lie around the best leaders; `known` are all rows seen. A
    category that decides which other parameters exist is taken over from a trial together with them, so that a
    candidate stays consistent.
    """
    means = stack.mean(leaders)
    best = leaders[np.argsort(-means, kind="stable")[:CENTRES]]
    candidates = _candidates(encoding, known, best, rng)
    mean, variance = stack.predict(candidates)
    gain = expected_improvement(mean, variance, float(means.max()))
    if cost is not None:
        gain = gain / cost.factors(encoding.features(candidates))
    return encoding.params(candidates[int(np.argmax(gain))])


def expected_improvement(mean: np.ndarray, variance: np.ndarray, best: float) -> np.ndarray:
    """E[max(0, value - best)] of normal values."""
    deviation = np.sqrt(variance)
    standard = (mean - best) / deviation
    density = np.exp(-0.5 * standard**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (standard * ndtr(standard) + density))


def winsorised(scores: np.ndarray) -> np.ndarray:
    """Scores further below the median than the best is above it are raised to there: how bad is bad tells nothing."""
    median = float(np.median(scores))
    return np.asarray(np.maximum(scores, median - (float(scores.max()) - median)))


def line(below: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of the scores on the predictions from below, with two pseudo-results of slope 1."""
    centred = below - below.mean()
    spread = float(centred @ centred)
    if spread <= 0.0:
        return float(scores.mean() - below.mean()), 1.0
    prior = 2.0 * spread / len(below)
    slope = max(0.0, float((centred @ (scores - scores.mean()) + prior) / (spread + prior)))
    return float(scores.mean() - slope * below.mean()), slope


def _candidates(
    encoding: Encoding, known: np.ndarray, best: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    spread_bases = known[rng.integers(len(known), size=CANDIDATES)]
    spread = rng.random(spread_bases.shape)
    bases = best[rng.integers(len(best), size=CANDIDATES)]
    bases, moved = np.vstack([spread_bases, bases]), np.vstack([spread, _around(encoding, bases, rng)])
    stays = np.isnan(bases) | encoding.deciding(known)
    return np.where(stays, bases, encoding.snapped(moved))


def _around(encoding: Encoding, bases: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    reach = 10.0 ** rng.uniform(-2.0, -0.5, size=(CANDIDATES, 1))
    moved = bases + reach * rng.standard_normal(bases.shape)
    moved = np.abs(1.0 - np.abs(1.0 - moved))  # reflected at both ends
    touched = rng.random(bases.shape) < rng.choice([0.25, 0.5, 1.0], size=(CANDIDATES, 1))
    redrawn, fresh = rng.random(bases.shape) < 0.25, rng.random(bases.shape)
    moved = np.where(encoding.categorical, fresh, moved)
    touched &= redrawn | ~encoding.categorical
    return np.where(touched, moved, bases)
