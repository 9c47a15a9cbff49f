"""The length scales of each rung's process, fitted again whenever the rung has grown by a quarter."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np

from toprung.search.strategy.early_stopping.rung import Rung, milestone, sorted_results
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.length_scale_fit import Fit, fit_lengths

FITTED = 64  # results the length scales are fitted to at most
NOISY = 0.15  # noise over signal variance among the best results from which luck may have picked them


class LengthScales:
    """The length scales of each rung; they depend on the rung's results up to its last milestone alone."""

    def __init__(self) -> None:
        self._fitted: dict[tuple[int, int, int, bool], list[np.ndarray | None]] = {}

    def is_due(self, rung: Rung, encoding: Encoding) -> bool:
        """Whether the rung has grown so much that `of` would fit again."""
        return self._has_enough(rung, encoding) and self._key(rung) not in self._fitted

    def of(
        self,
        rung: Rung,
        points: Container[int],
        row: Callable[[int], np.ndarray],
        encoding: Encoding,
    ) -> np.ndarray | None:
        """The length scales of the features at a rung.

        Args:
            rung: The rung. Several objectives have length scales each, which serve every weighting.
            points: The trials that have a row.
            row: The encoded row of a trial, shape (columns,).
            encoding: Turns rows into features.

        Returns:
            Shape (features,); None while the rung has too few results.
        """
        if not self._has_enough(rung, encoding):
            return None
        key = self._key(rung)
        if key not in self._fitted:
            _, arrivals, removals, _ = key
            self._fitted[key] = [
                _fit_ranked([n for n in sorted_results(scores)[1] if n in points], scores, row, encoding)
                for scores in rung.known_at(arrivals, removals)
            ]
        return weighted_length_scales(rung.weights, self._fitted[key])

    def _has_enough(self, rung: Rung, encoding: Encoding) -> bool:
        _, arrivals, removals, _ = self._key(rung)
        return arrivals - removals >= 2 * len(encoding.columns)

    def _key(self, rung: Rung) -> tuple[int, int, int, bool]:
        # Earlier runs have rungs of the same epochs; their trial numbers are negative.
        is_prior = bool(rung.arrived) and rung.arrived[0] < 0
        return rung.epoch, milestone(len(rung.arrived)), milestone(len(rung.removed)), is_prior


def weighted_length_scales(
    weights: Sequence[float], scales: Sequence[np.ndarray | None]
) -> np.ndarray | None:
    """The length scales of a weighted sum of objectives; an objective that does not vary has None.

    An inverse length is a slope, and the squared slope of a sum of independent parts is the sum of their squared
    slopes, each times its squared weight. Divided by the squared weights, so that equal scales stay what they are.
    """
    varying = [
        (weight, lengths) for weight, lengths in zip(weights, scales, strict=True) if lengths is not None
    ]
    if len(varying) < 2:
        return varying[0][1] if varying else None
    squared_slope = sum(weight**2 * lengths**-2.0 for weight, lengths in varying)
    return np.asarray((squared_slope / sum(weight**2 for weight, _ in varying)) ** -0.5)


def _fit_ranked(
    ranked: Sequence[int],
    scores: Mapping[int, float],
    row: Callable[[int], np.ndarray],
    encoding: Encoding,
) -> np.ndarray | None:
    """Fit to the best of the ranked trials, or to some of every rank where luck has picked the best.

    A proposal needs to know what sets the best apart from the good. But where results are noisy, that is luck more
    than anything else, and only the whole ranking shows which parameters matter.
    """

    def fitted(numbers: Sequence[int]) -> Fit | None:
        return _fit([scores[n] for n in numbers], [row(n) for n in numbers], encoding)

    found = fitted(ranked[:FITTED])
    if found is not None and found.noise > NOISY and len(ranked) > FITTED:
        evenly = np.linspace(0, len(ranked) - 1, FITTED).astype(int)
        found = fitted([ranked[rank] for rank in evenly]) or found
    return found.lengths if found else None


def _fit(scores: list[float], rows: list[np.ndarray], encoding: Encoding) -> Fit | None:
    """None where there are no scores, or all are equal."""
    values = winsorised(np.array(scores)) if scores else np.zeros(0)
    if not len(values) or values.std() == 0.0:
        return None
    return fit_lengths(encoding.features(np.array(rows)), (values - values.mean()) / values.std())


def winsorised(scores: np.ndarray) -> np.ndarray:
    """Raise scores that are further below the median than the best is above it: how bad a trial is tells nothing."""
    # Not scipy.stats.mstats.winsorize: it replaces a fixed share of the scores, however far off they are.
    median = float(np.median(scores))
    return np.asarray(np.maximum(scores, median - (float(scores.max()) - median)))
