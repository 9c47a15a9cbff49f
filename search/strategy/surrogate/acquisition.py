"""The acquisition function: expected improvement over candidates (Jones et al. 1998)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.epoch_cost import EpochCost
from toprung.search.strategy.surrogate.feasibility import Chances
from toprung.search.strategy.surrogate.multi_fidelity import MultiFidelityModel

CANDIDATES = 256
MOST_AROUND = 128  # candidates around the best at most; the others are spread over the space
CENTRES = 10  # known trials that candidates are placed around
FEW_TRIALS = 48  # of so few, those that lead are lucky or fast as often as good


class Candidate(NamedTuple):
    """Parameters to try, and the score that the model predicts for them, with its standard deviation."""

    params: dict[str, Any]
    mean: float
    deviation: float


@dataclass(frozen=True)
class TriedRows:
    """The rows of the trials so far, NaN where a parameter is missing.

    Attributes:
        known: Of all that are modelled, shape (n, columns).
        leaders: Of the best of them, shape (m, columns).
        given: Of those whose configurations were given to the search, shape (k, columns).
    """

    known: np.ndarray
    leaders: np.ndarray
    given: np.ndarray


def propose(
    encoding: Encoding,
    model: MultiFidelityModel,
    tried: TriedRows,
    rng: np.random.Generator,
    cost: EpochCost | None = None,
    success: Chances | None = None,
) -> Candidate:
    """The candidate of the greatest expected improvement over the best predicted leader.

    Candidates are spread over the space at first. The more trials there are, the more of them lie around the best
    leaders: among few, the leaders owe their places to noise or to a fast start, and the model, which is surest of
    itself beside them, would propose their neighbours over and over. Where a configuration that was given leads, it was
    not chance that picked it, and half of the candidates lie around the best from the start. A category that decides
    which other parameters exist is copied from a known trial together with them, so that a candidate is consistent.

    Args:
        encoding: The columns of the rows.
        model: Predicts the score.
        tried: The rows of the trials so far.
        rng: Draws the candidates.
        cost: Where it is given, the improvement is divided by the relative time of an epoch.
        success: Where it is given, the improvement is weighed by the chance of a training without a failure and within
            the bounds, and is that over the known trials which are at least half as sure of it as the surest: the
            leaders may all be unsure.

    Returns:
        The candidate.
    """
    leaders = tried.leaders
    if success is not None:
        chances = success.chances(encoding.features(tried.known))
        leaders = tried.known[chances >= 0.5 * chances.max()]
    means = model.mean(leaders)
    best = leaders[np.argsort(-means, kind="stable")[:CENTRES]]
    around = _count_around(tried, best)
    candidates = _candidates(encoding, tried.known, best[rng.integers(len(best), size=around)], rng)
    mean, variance = model.predict(candidates)
    gain = expected_improvement(mean, variance, float(means.max()))
    if cost is not None:
        gain = gain / cost.factors(encoding.features(candidates))
    if success is not None:
        gain = gain * success.chances(encoding.features(candidates))
    chosen = int(np.argmax(gain))
    params = encoding.params(candidates[chosen])
    return Candidate(params, float(mean[chosen]), float(np.sqrt(variance[chosen])))


def expected_improvement(mean: np.ndarray, variance: np.ndarray, best: float) -> np.ndarray:
    """E[max(0, value - best)] of normal values, shape (n,)."""
    # Not scipy.stats.norm, which is slow to import.
    deviation = np.sqrt(variance)
    standard = (mean - best) / deviation
    density = np.exp(-0.5 * standard**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (standard * ndtr(standard) + density))


def _count_around(tried: TriedRows, best: np.ndarray) -> int:
    """How many of the candidates lie around the best."""
    if any(np.array_equal(row, given, equal_nan=True) for row in best for given in tried.given):
        return MOST_AROUND
    return int(MOST_AROUND * max(0.0, 1.0 - FEW_TRIALS / len(tried.known)))


def _candidates(
    encoding: Encoding, known: np.ndarray, centres: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One candidate around each of the centres, the others spread over the space."""
    spread_bases = known[rng.integers(len(known), size=CANDIDATES - len(centres))]
    spread = rng.random(spread_bases.shape)
    bases, moved = np.vstack([spread_bases, centres]), np.vstack([spread, _around(encoding, centres, rng)])
    keeps_base = np.isnan(bases) | encoding.gating_columns(known)
    return np.where(keeps_base, bases, encoding.rounded_to_grid(moved))


def _around(encoding: Encoding, bases: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows near the bases: some columns moved by a normal step, of categorical ones some drawn anew."""
    reach = 10.0 ** rng.uniform(-2.0, -0.5, size=(len(bases), 1))
    moved = bases + reach * rng.standard_normal(bases.shape)
    moved = np.abs(1.0 - np.abs(1.0 - moved))  # reflected at both ends
    changes = rng.random(bases.shape) < rng.choice([0.25, 0.5, 1.0], size=(len(bases), 1))
    is_redrawn, fresh = rng.random(bases.shape) < 0.25, rng.random(bases.shape)
    moved = np.where(encoding.categorical, fresh, moved)
    changes &= is_redrawn | ~encoding.categorical
    return np.where(changes, moved, bases)
