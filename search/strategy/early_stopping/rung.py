"""A rung: the scores of the trials that reached one epoch; and the epochs that have a rung."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from toprung.trainables.trial.objectives import Score

MILESTONES = [0, 4]  # each a quarter more than the one before
while MILESTONES[-1] < 10**9:
    MILESTONES.append(MILESTONES[-1] * 5 // 4)


def rung_epochs(max_epochs: int, reduction_factor: int, min_epochs: int = 1) -> tuple[int, ...]:
    """The epochs at which trials are compared: min_epochs * reduction_factor^k below max_epochs, then max_epochs."""
    epochs = []
    epoch = min_epochs
    while epoch < max_epochs:
        epochs.append(epoch)
        epoch *= reduction_factor
    return (*epochs, max_epochs)


def milestone(count: int) -> int:
    """The greatest of 4, 5, 6, 7, 8, 10, 12, 15, ... (each a quarter more) that is at most the count; else 0."""
    return MILESTONES[bisect_right(MILESTONES, count) - 1]


def sorted_results(scores: Mapping[int, float]) -> tuple[array[float], array[int]]:
    """The negated scores and the trials, from the best; of equal scores the earlier trial first."""
    numbers = np.fromiter(scores, np.int64, len(scores))
    negated = -np.fromiter(scores.values(), np.float64, len(scores))
    order = np.lexsort((numbers, negated))
    return array("d", negated[order].tobytes()), array("q", numbers[order].tobytes())


@dataclass(eq=False)
class Rung:
    """The scores of the trials that reached one epoch; higher is better, of equal scores the earlier trial's.

    Attributes:
        epoch: The epoch at which trials are compared.
        scores: Finite scores by trial number, in order of arrival.
        arrived: Every trial that ever had a score here, in order of arrival.
        removed: What `remove` took out, in that order.
    """

    epoch: int
    scores: dict[int, float] = field(default_factory=dict)
    # From the best, side by side: arrays take a fifth of the memory of pairs, and numpy reads them without a copy.
    _negated: array[float] = field(default_factory=lambda: array("d"))
    _numbers: array[int] = field(default_factory=lambda: array("q"))
    arrived: array[int] = field(default_factory=lambda: array("q"))
    removed: dict[int, Score] = field(default_factory=dict)

    @classmethod
    def of(cls, epoch: int, scores: dict[int, float]) -> Rung:
        """A rung of scores by trial number, in order of arrival."""
        return Rung(epoch, scores, *sorted_results(scores), arrived=array("q", scores))

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each objective."""
        return (1.0,)

    def known_at(self, arrivals: int, removals: int) -> list[dict[int, float]]:
        """The scores of each objective after so many arrivals and removals, by trial number in order of arrival."""
        gone = set(islice(self.removed, removals))
        kept = (number for number in self.arrived[:arrivals] if number not in gone)
        return [{number: self._score_ever(number) for number in kept}]

    def front(self) -> list[int]:
        """The trials that no other is better than: of one objective the best alone."""
        return list(self._numbers[:1])

    def by_objective(self) -> list[Rung]:
        """A rung for each objective alone: here this rung, as there is one objective."""
        return [self]

    def add(self, number: int, score: Score) -> None:
        """Record the score of a trial; O(log n) comparisons."""
        own = _single(score)
        index = self.rank(number, own)
        self.scores[number] = own
        self.arrived.append(number)
        self._negated.insert(index, -own)
        self._numbers.insert(index, number)

    def remove(self, number: int) -> None:
        """Take out the result of a trial, so that it counts neither as a rank nor as a result."""
        index = self.rank(number, self.scores[number])
        self.removed[number] = self.scores.pop(number)
        del self._negated[index], self._numbers[index]

    def score(self, number: int) -> float:
        """The score of a recorded trial."""
        return self.scores[number]

    def rank_score(self, number: int, score: Score) -> float:
        """The score that a recorded trial is ranked by: its score here or a later one, whichever is better."""
        return max(self.scores[number], _single(score))

    def rank(self, number: int, rank_score: float) -> int:
        """The rank of a trial with this score among all results so far, 0 the best."""
        first = bisect_left(self._negated, -rank_score)
        if first == len(self._negated) or self._negated[first] != -rank_score:
            return first
        return bisect_left(self._numbers, number, first, bisect_right(self._negated, -rank_score, first))

    def is_in_top(self, number: int, rank_score: float, places: int) -> bool:
        """Whether a trial with this score is among the first `places` of all results so far."""
        return self.rank(number, rank_score) < places

    def is_in_top_of_latest(self, number: int, rank_score: float, count: int, places: int) -> bool:
        """Whether a trial with this score is, or would be, among the first `places` of the latest `count` results."""
        for other, score in islice(reversed(self.scores.items()), count):
            if score > rank_score or (score == rank_score and other < number):
                places -= 1
                if places == 0:
                    return False
        return True

    def latest(self, count: int) -> Iterator[int]:
        """The trials of the latest results, the last to arrive first."""
        return islice(reversed(self.scores), count)

    def best_first(self) -> Sequence[int]:
        """The trials from the best to the worst; valid until the next result is added."""
        return self._numbers

    def score_at(self, rank: int) -> float:
        """The score of the given rank, 0 the best."""
        return -self._negated[rank]

    def _score_ever(self, number: int) -> float:
        return self.scores[number] if number in self.scores else _single(self.removed[number])


def _single(score: Score) -> float:
    if isinstance(score, tuple):
        raise TypeError(f"a rung of one objective takes one score, not {score}")
    return float(score)
