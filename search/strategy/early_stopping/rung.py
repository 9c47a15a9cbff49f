"""A rung: the scores that trials reached at one epoch, and the epochs at which rungs stand."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

MILESTONES = [0, 4]
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


@dataclass(eq=False)
class Rung:
    """The scores trials reached at one epoch; higher is better, an equal score of an earlier trial is better."""

    epoch: int
    scores: dict[int, float] = field(default_factory=dict)
    # From the best, side by side: arrays take a fifth of what pairs do, and are read as a whole in no time.
    _negated: array[float] = field(default_factory=lambda: array("d"))
    _numbers: array[int] = field(default_factory=lambda: array("q"))

    @classmethod
    def of(cls, epoch: int, scores: dict[int, float]) -> Self:
        """A rung of scores by trial, in order of arrival: sorted once."""
        ordered = sorted((-score, number) for number, score in scores.items())
        negated = array("d", [one for one, _ in ordered])
        return cls(epoch, scores, negated, array("q", [number for _, number in ordered]))

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def weights(self) -> tuple[float, ...]:
        """How much each objective counts."""
        return (1.0,)

    def by_objective(self) -> list[Rung]:
        """The rung by each of its objectives alone: itself, where there is one."""
        return [self]

    def add(self, number: int, score: Any) -> None:
        """Record a score."""
        place = self.rank(number, score)
        self.scores[number] = score
        self._negated.insert(place, -score)
        self._numbers.insert(place, number)

    def score(self, number: int) -> float:
        """The score of a recorded trial."""
        return self.scores[number]

    def rank_score(self, number: int, score: Any) -> float:
        """What a recorded trial is ranked by: the better of its score here and a later one."""
        return max(self.scores[number], float(score))

    def rank(self, number: int, rank_score: float) -> int:
        """The rank of a trial that stands so among all recorded so far, 0 the best."""
        place = bisect_left(self._negated, -rank_score)
        if place == len(self._negated) or self._negated[place] != -rank_score:
            return place
        return bisect_left(self._numbers, number, place, bisect_right(self._negated, -rank_score, place))

    def is_in_top(self, number: int, rank_score: float, places: int) -> bool:
        """Whether a trial that stands so is among the first `places` of all recorded so far."""
        return self.rank(number, rank_score) < places

    def is_in_top_of_latest(self, number: int, rank_score: float, count: int, places: int) -> bool:
        """Whether a trial that stands so is, or would be, in the first `places` of the latest `count` results."""
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
        """The trials from the best to the worst; good until the next result comes."""
        return self._numbers

    def score_at(self, rank: int) -> float:
        """The score of the given rank, 0 the best."""
        return -self._negated[rank]
