"""Several objectives: rungs ranked by domination, and random weightings that turn them into one score for a model.

A trial is ranked by how many others are better in every objective (Fonseca & Fleming 1993), the Pareto set first, and
among equals by how far it stands from its nearest neighbour, so that a cut leaves the front spread out. For each
proposal the objectives are weighted anew (ParEGO; Knowles 2006, augmented Tchebycheff, its rho = 0.05), so that the
proposals together cover the whole front.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.trainables.trial.objectives import Score

RHO = 0.05


@dataclass(eq=False)
class ParetoRung(Rung):
    """A rung of score tuples; a trial's one score is minus the number of trials that dominate it. O(n) a result."""

    # Buffers that double when they are full: an objective a row, a result a column, in order of arrival.
    _vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    _dominators: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    _trials: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    _place: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._place)

    @property
    def weights(self) -> tuple[float, ...]:
        """The objectives count alike."""
        return (1.0 / len(self._vectors),) * len(self._vectors)

    @property
    def vectors(self) -> np.ndarray:
        """The scores, shape (objectives, results)."""
        return self._vectors[:, : len(self)]

    @property
    def dominators(self) -> np.ndarray:
        """How many trials dominate each, shape (results,)."""
        return self._dominators[: len(self)]

    @property
    def numbers(self) -> np.ndarray:
        """The trials, shape (results,)."""
        return self._trials[: len(self)]

    def add(self, number: int, score: Score) -> None:
        """Record the scores of one trial."""
        place, new = len(self), np.atleast_1d(score)
        beaten, beating = self._compared(new)
        self.dominators[beaten] += 1
        if place == len(self._dominators):
            self._grow(len(new))
        self._vectors[:, place], self._dominators[place] = new, np.count_nonzero(beating)
        self._trials[place], self._place[number] = number, place
        self.scores[number] = self.score(number)

    def score(self, number: int) -> float:
        """Minus the number of trials that dominate it now."""
        return -float(self._dominators[self._place[number]])

    def rank_score(self, number: int, score: Score) -> float:
        """Minus the number of trials that dominate it, by its scores here or by later ones, whichever are fewer."""
        own, later = self._vectors[:, self._place[number]], np.atleast_1d(score)
        if np.array_equal(own, later):
            return self.score(number)
        # Its own scores are counted too: where they dominate the later ones, so does whoever dominates them.
        return max(self.score(number), -float(np.count_nonzero(self._compared(later)[1])))

    def rank(self, number: int, rank_score: float) -> int:
        """How many trials come before it: those with fewer dominators, and those of as many that stand more alone."""
        before = int(np.count_nonzero(self.dominators < -rank_score))
        if rank_score > self.score(number):
            return before
        return before + self._ranked(np.flatnonzero(self.dominators == -rank_score)).index(number)

    def is_in_top(self, number: int, rank_score: float, places: int) -> bool:
        """Whether it is among the first `places`; how it stands among its equals is looked at where it must be."""
        before = int(np.count_nonzero(self.dominators < -rank_score))
        if before >= places or before + np.count_nonzero(self.dominators == -rank_score) <= places:
            return before < places
        return self.rank(number, rank_score) < places

    def best_first(self) -> Sequence[int]:
        """The trials from the best to the worst."""
        return self._ranked(np.arange(len(self)))

    def score_at(self, rank: int) -> float:
        """The score of the given rank, 0 the best."""
        at_most = np.bincount(self.dominators).cumsum()
        return -float(np.searchsorted(at_most, rank, side="right"))

    def is_in_top_of_latest(self, number: int, rank_score: float, count: int, places: int) -> bool:
        """Whether it is, or would be, in the first `places` of the latest `count` results, by dominators alone."""
        numbers, dominators = self.numbers[-count:], self.dominators[-count:]
        ahead = (dominators < -rank_score) | ((dominators == -rank_score) & (numbers < number))
        return int(np.count_nonzero(ahead)) < places

    def front(self) -> list[int]:
        """The trials nobody dominates."""
        return list(self.numbers[self.dominators == 0].tolist())

    def by_objective(self) -> list[Rung]:
        """The rung by each objective alone, in order of arrival."""
        numbers = self.numbers.tolist()
        return [Rung.of(self.epoch, dict(zip(numbers, row.tolist(), strict=True))) for row in self.vectors]

    def weighted(self, weights: np.ndarray) -> WeightedRung:
        """The rung under one weighting of the objectives, each brought to [0, 1] first; in order of arrival."""
        low, high = self.vectors.min(axis=1), self.vectors.max(axis=1)
        scale = weights / np.where(high > low, high - low, 1.0)
        parts = scale[:, None] * (self.vectors - low[:, None])
        scores = parts.min(axis=0) + RHO * parts.sum(axis=0)
        by_number = dict(zip(self.numbers.tolist(), scores.tolist(), strict=True))
        order = np.lexsort((self.numbers, -scores))
        negated = array("d", (-scores[order]).tobytes())
        numbers = array("q", self.numbers[order].astype(np.int64).tobytes())
        return WeightedRung(self.epoch, by_number, negated, numbers, tuple(weights.tolist()), self)

    def _compared(self, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which results so far the scores dominate, and which dominate them: no worse anywhere, better somewhere."""
        no_better = no_worse = np.ones(len(self), dtype=bool)
        for row, own in zip(self.vectors, score.tolist(), strict=len(self) > 0):
            no_better, no_worse = no_better & (row <= own), no_worse & (row >= own)
        return no_better & ~no_worse, no_worse & ~no_better

    def _grow(self, objectives: int) -> None:
        added = max(64, len(self))
        empty = self._vectors.reshape(objectives, len(self))
        self._vectors = np.hstack([empty, np.zeros((objectives, added))])
        self._dominators = np.append(self._dominators, np.zeros(added, dtype=int))
        self._trials = np.append(self._trials, np.zeros(added, dtype=int))

    def _ranked(self, places: np.ndarray) -> list[int]:
        """The trials at these places from the best; of equals, the furthest from its nearest neighbour first."""
        places = places[np.argsort(self.dominators[places], kind="stable")]
        starts = np.flatnonzero(np.diff(self.dominators[places], prepend=-1))
        group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(places)))
        vectors, numbers = self.vectors[:, places], self.numbers[places]
        low, high = (edge.reduceat(vectors, starts, axis=1)[:, group] for edge in (np.minimum, np.maximum))
        gaps = _nearest(((vectors - low) / np.where(high > low, high - low, 1.0)).T, group)
        return list(numbers[np.lexsort((numbers, -gaps, group))].tolist())


@dataclass(eq=False)
class WeightedRung(Rung):
    """A rung of several objectives under one weighting of them."""

    weights: tuple[float, ...] = ()
    source: ParetoRung = field(default_factory=lambda: ParetoRung(0))

    def by_objective(self) -> list[Rung]:
        """The rung by each objective alone."""
        return self.source.by_objective()


def _nearest(points: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The distance, a sum over columns within [0, 1], of each row to the nearest of its group; infinite when alone."""
    from scipy.spatial import KDTree  # for searches with several objectives alone

    if len(points) < 2:
        return np.full(len(points), np.inf)
    # One tree for all groups, which lie further apart than any two rows of one group can.
    furthest = points.shape[1]
    apart = np.column_stack([points, 2.0 * furthest * group])
    nearest = KDTree(apart).query(apart, k=2, p=1)[0][:, 1]
    return np.where(nearest <= furthest, nearest, np.inf)
