"""How well a rung's ranking predicts the next one's, and the lowest rung worth cutting at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toprung.search.strategy.early_stopping.rung import Rung, milestone

USEFUL = 0.7  # the rank correlation a rung must plausibly have: it explains half the next rung's variance


@dataclass(frozen=True)
class RungCorrelation:
    """Rank correlation of two rungs over the `trials` that reached both.

    Those trials are mostly the winners of the lower rung, and within a narrower range any correlation is smaller:
    `useful` is what a correlation of USEFUL over all trials comes to among them (Thorndike 1949, case 2: with u the
    deviation of all trials' ranks over theirs, r = R / sqrt(u^2 - R^2 (u^2 - 1))).
    """

    epoch: int
    next_epoch: int
    trials: int
    correlation: float
    useful: float

    @property
    def is_misleading(self) -> bool:
        """Whether the correlation is more than one standard error, 1 / sqrt(trials - 1), below a useful one."""
        return self.trials > 2 and self.correlation + 1.0 / np.sqrt(self.trials - 1) < self.useful

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch} predicts epoch {self.next_epoch} with a rank correlation of {self.correlation:.2f}"
            f" over {self.trials} trials (useful from {self.useful:.2f})"
        )


def correlate_rungs(rung: Rung, above: Rung) -> RungCorrelation:
    """Compare the ranks of two rungs; a rung on which all are equal correlates with nothing. O(n)."""
    low, high = _ranks(rung, above)
    if len(low) < 3:
        return RungCorrelation(rung.epoch, above.epoch, len(low), 0.0, 0.0)
    told = rung.score_at(0) > rung.score_at(len(rung) - 1) and above.score_at(0) > above.score_at(
        len(above) - 1
    )
    correlation = float(np.corrcoef(low, high)[0, 1]) if told else 0.0
    everyone = np.sqrt((len(rung) ** 2 - 1) / 12.0)  # the deviation of the ranks 0 ... n - 1
    ratio = max(1.0, float(everyone / low.std()))
    useful = USEFUL / float(np.sqrt(ratio**2 - USEFUL**2 * (ratio**2 - 1.0)))
    return RungCorrelation(rung.epoch, above.epoch, len(low), correlation, useful)


def _ranks(rung: Rung, above: Rung) -> tuple[np.ndarray, np.ndarray]:
    """The ranks on both rungs of the trials that reached both, 0 the best; as the rung above ranks them."""
    # Both are listed best first, so that a trial's place in the list is its rank.
    below, higher = (np.array(r.best_first(), dtype=np.int64) for r in (rung, above))
    rank = np.full(max(below.max(initial=0), higher.max(initial=0)) + 1, -1)
    rank[below] = np.arange(len(below))
    high = np.flatnonzero(rank[higher] >= 0)
    return rank[higher[high]], high


class RungCorrelations:
    """How far each rung is to be trusted, weighed anew when the rung above it has grown by a quarter.

    A function of the reports in their order: rungs that only grow by themselves say nothing new of each other.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        # The highest rung before the full training stays: with no evidence on what lies above it, it is not blamed.
        self._rungs = rungs[:-1] or rungs
        self._pairs = {above.epoch: (rung, above) for rung, above in pairwise(self._rungs)}
        self._found: dict[int, RungCorrelation] = {}

    def weigh(self, epoch: int) -> bool:
        """Take in that the rung of this epoch has one more result; True when a rung was weighed anew."""
        if epoch not in self._pairs:
            return False
        rung, above = self._pairs[epoch]
        grown = len(above) == milestone(len(above))
        if grown:
            self._found[rung.epoch] = correlate_rungs(rung, above)
        return grown

    def first_useful(self) -> tuple[int, list[RungCorrelation]]:
        """The epoch of the lowest rung that does not mislead, and the agreements of those below it that do."""
        blamed: list[RungCorrelation] = []
        for rung in self._rungs[:-1]:
            found = self._found.get(rung.epoch)
            if found is None or not found.is_misleading:
                return rung.epoch, blamed
            blamed.append(found)
        return self._rungs[-1].epoch, blamed
