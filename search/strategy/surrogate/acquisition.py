"""The acquisition function: expected improvement over candidates (Jones et al. 1998)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.epoch_cost import EpochCost
from toprung.search.strategy.surrogate.feasibility import Chances
from toprung.search.strategy.surrogate.multi_fidelity import MultiFidelityModel

CANDIDATES = 128  # spread over the space, and as many around the best
CENTRES = 10  # known trials that candidates are placed around


class Candidate(NamedTuple):
    """Parameters to try, and the score that the model predicts for them, with its standard deviation."""

    params: dict[str, Any]
    mean: float
    deviation: float


def propose(
    encoding: Encoding,
    model: MultiFidelityModel,
    known: np.ndarray,
    leaders: np.ndarray,
    rng: np.random.Generator,
    cost: EpochCost | None = None,
    success: Chances | None = None,
) -> Candidate:
    """The candidate of the greatest expected improvement over the best predicted leader.

    Half the candidates are spread over the space, half lie around the best leaders. A category that decides which
    other parameters exist is copied from a known trial together with them, so that a candidate is consistent.

    Args:
        encoding: The columns of the rows.
        model: Predicts the score.
        known: The rows of all known trials, shape (n, columns), NaN where a parameter is missing.
        leaders: The rows of the best of them, shape (m, columns).
        rng: Draws the candidates.
        cost: Where it is given, the improvement is divided by the relative time of an epoch.
        success: Where it is given, the improvement is weighed by the chance of a training without a failure and within
            the bounds, and is that over the leaders which are at least half as sure of it as the surest.

    Returns:
        The candidate.
    """
    if success is not None:
        chances = success.chances(encoding.features(leaders))
        leaders = leaders[chances >= 0.5 * chances.max()]
    means = model.mean(leaders)
    best = leaders[np.argsort(-means, kind="stable")[:CENTRES]]
    candidates = _candidates(encoding, known, best, rng)
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


def _candidates(
    encoding: Encoding, known: np.ndarray, best: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    spread_bases = known[rng.integers(len(known), size=CANDIDATES)]
    spread = rng.random(spread_bases.shape)
    bases = best[rng.integers(len(best), size=CANDIDATES)]
    bases, moved = np.vstack([spread_bases, bases]), np.vstack([spread, _around(encoding, bases, rng)])
    keeps_base = np.isnan(bases) | encoding.gating_columns(known)
    return np.where(keeps_base, bases, encoding.rounded_to_grid(moved))


def _around(encoding: Encoding, bases: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows near the bases: some columns moved by a normal step, of categorical ones some drawn anew."""
    reach = 10.0 ** rng.uniform(-2.0, -0.5, size=(CANDIDATES, 1))
    moved = bases + reach * rng.standard_normal(bases.shape)
    moved = np.abs(1.0 - np.abs(1.0 - moved))  # reflected at both ends
    changes = rng.random(bases.shape) < rng.choice([0.25, 0.5, 1.0], size=(CANDIDATES, 1))
    is_redrawn, fresh = rng.random(bases.shape) < 0.25, rng.random(bases.shape)
    moved = np.where(encoding.categorical, fresh, moved)
    changes &= is_redrawn | ~encoding.categorical
    return np.where(changes, moved, bases)
