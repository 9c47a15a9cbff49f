"""How well the ranking at a rung predicts the ranking at the next, and the lowest rung worth cutting at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toprung.search.strategy.early_stopping.rung import Rung, milestone

USEFUL = (
    0.7  # the rank correlation a rung must plausibly have: it explains half the variance at the next rung
)
Z_90 = 1.28  # standard errors that a one-sided 90% interval reaches
EXPECTED = 0.8  # the share of the variance that a rung is expected to explain of the next: from half to all
PSEUDO_TRIALS = 2  # how many trials that expectation is worth
FITTED_TO = 2  # trials that always lie on one line


@dataclass(frozen=True)
class RungCorrelation:
    """The rank correlation of two rungs over the trials that reached both.

    Those trials are mostly the best of the lower rung, and a correlation over a narrower range is smaller. `useful` is
    what a correlation of USEFUL over all trials comes to among them (Thorndike 1949, case 2: with u the deviation of
    all trials' ranks over theirs, r = R / sqrt(u^2 - R^2 (u^2 - 1)), where R is our USEFUL and r our `useful`).

    Attributes:
        epoch: The epoch of the lower rung.
        next_epoch: The epoch of the rung above it.
        trials: How many trials reached both.
        correlation: Their rank correlation.
        useful: The least correlation that makes the lower rung worth cutting at.
        restriction: u.
    """

    epoch: int
    next_epoch: int
    trials: int
    correlation: float
    useful: float
    restriction: float = 1.0

    @property
    def explained(self) -> float:
        """The share of the variance of the upper ranks that the lower ones explain, over all trials (R^2 from r)."""
        if self.correlation <= 0.0:
            return 0.0
        square, ratio = self.correlation**2, self.restriction**2
        return square * ratio / (1.0 + square * (ratio - 1.0))

    @property
    def is_misleading(self) -> bool:
        """Whether the correlation is below a useful one with 90% confidence (Fisher's z).

        A first rung that is raised in error costs many epochs, and a handful of trials often correlates by chance.
        """
        if self.trials <= 3:
            return False
        correlation, useful = np.arctanh(np.clip([self.correlation, self.useful], -0.999, 0.999))
        return bool(correlation + Z_90 / np.sqrt(self.trials - 3) < useful)

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch} predicts epoch {self.next_epoch} with a rank correlation of {self.correlation:.2f}"
            f" over {self.trials} trials (useful from {self.useful:.2f})"
        )


def correlate_rungs(rung: Rung, above: Rung) -> RungCorrelation:
    """Correlate the ranks at two rungs; 0 where all scores of one rung are equal. O(n)."""
    # Not scipy.stats.spearmanr: `useful` needs ranks among all results of a rung, not among the trials of both alone.
    ranks_below, ranks_above = _common_ranks(rung, above)
    trials = len(ranks_below)
    if trials < 3:
        return RungCorrelation(rung.epoch, above.epoch, trials, 0.0, 0.0)
    both_vary = _varies(rung) and _varies(above)
    correlation = float(np.corrcoef(ranks_below, ranks_above)[0, 1]) if both_vary else 0.0
    deviation_of_all = np.sqrt((len(rung) ** 2 - 1) / 12.0)  # of the ranks 0 ... n - 1
    ratio = max(1.0, float(deviation_of_all / ranks_below.std()))
    useful = USEFUL / float(np.sqrt(ratio**2 - USEFUL**2 * (ratio**2 - 1.0)))
    return RungCorrelation(rung.epoch, above.epoch, trials, correlation, useful, ratio)


def _varies(rung: Rung) -> bool:
    return rung.score_at(0) > rung.score_at(len(rung) - 1)


def _common_ranks(rung: Rung, above: Rung) -> tuple[np.ndarray, np.ndarray]:
    """The ranks at both rungs of the trials that reached both, 0 the best; in the order of the rung above."""
    # Both list the best first, so that a trial's index in the list is its rank.
    numbers_below, numbers_above = (np.array(r.best_first(), dtype=np.int64) for r in (rung, above))
    rank = np.full(max(numbers_below.max(initial=0), numbers_above.max(initial=0)) + 1, -1)
    rank[numbers_below] = np.arange(len(numbers_below))
    ranks_above = np.flatnonzero(rank[numbers_above] >= 0)
    return rank[numbers_above[ranks_above]], ranks_above


class RungCorrelations:
    """The correlation of each rung with the next, measured again when the upper one has grown by a quarter.

    It depends on the reports in their order alone: more results at the lower rung say nothing new about the two.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        # The last rung before the full training is always worth cutting at: too little is known of what lies above it.
        self._rungs = rungs[:-1] or rungs
        self._pairs = {above.epoch: (rung, above) for rung, above in pairwise(rungs)}
        self._found: dict[int, RungCorrelation] = {}

    def update(self, epoch: int) -> bool:
        """Take into account that the rung of this epoch has one more result; True when a correlation was measured."""
        if epoch not in self._pairs:
            return False
        rung, above = self._pairs[epoch]
        has_grown = len(above) == milestone(len(above))
        if has_grown:
            self._found[rung.epoch] = correlate_rungs(rung, above)
        return has_grown

    def first_useful(self) -> tuple[int, list[RungCorrelation]]:
        """The epoch of the lowest rung above all those that mislead, and the correlations of these.

        A rung is of use where it predicts the end: it must predict the next one, that one the next, and so on.
        """
        found = [self._found[rung.epoch] for rung in self._rungs[:-1] if rung.epoch in self._found]
        misleading = [one for one in found if one.is_misleading]
        return (misleading[-1].next_epoch if misleading else self._rungs[0].epoch), misleading

    def explained(self) -> float:
        """The share of the variance at a rung that the rung below explains, on average from the first useful one on.

        At least what is expected before trials have shown more.
        """
        first, _ = self.first_useful()
        useful = [found for epoch, found in self._found.items() if epoch >= first]
        shares = [(found.explained, max(0, found.trials - FITTED_TO)) for found in useful]
        counts = PSEUDO_TRIALS + sum(count for _, count in shares)
        measured = PSEUDO_TRIALS * EXPECTED + sum(share * count for share, count in shares)
        return max(EXPECTED, measured / counts)
