"""Length scales of the rung processes, fitted again each time a rung has grown by a quarter."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np

from toprung.search.strategy.early_stopping.rung import Rung, milestone
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.gaussian_process import Fit, fit_lengths

FITTED = 64  # results the length scales are fitted to at most
NOISY = 0.15  # noise over signal variance among the best results from which luck may have picked them


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
        return (
            weighted_length_scales(rung.weights, self._fitted[self._key(rung)])
            if self._enough(rung, encoding)
            else None
        )

    def _enough(self, rung: Rung, encoding: Encoding) -> bool:
        return milestone(len(rung)) >= 2 * len(encoding.columns)

    def _key(self, rung: Rung) -> tuple[int, int, bool]:
        # Earlier runs have rungs of the same epochs: their trial numbers are negative.
        return rung.epoch, milestone(len(rung)), next(iter(rung.scores)) < 0


def weighted_length_scales(
    weights: Sequence[float], scales: Sequence[np.ndarray | None]
) -> np.ndarray | None:
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


def winsorised(scores: np.ndarray) -> np.ndarray:
    """Scores further below the median than the best is above it are raised to there: how bad is bad tells nothing."""
    median = float(np.median(scores))
    return np.asarray(np.maximum(scores, median - (float(scores.max()) - median)))
