"""A rung of several objectives: ranked by domination, and weighted into one score where a model needs one.

A trial is ranked by how many others are better in every objective (Fonseca & Fleming 1993), the Pareto set first; of
equal ranks, the trial that is furthest from its nearest neighbour comes first, so that a cut leaves the front spread
out. For each proposal the objectives are weighted anew (ParEGO; Knowles 2006: augmented Tchebycheff, their rho is our
RHO), so that the proposals together cover the whole front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from toprung.search.strategy.early_stopping.rung import Rung, sorted_results
from toprung.trainables.trial.objectives import Score

RHO = 0.05


@dataclass(eq=False)
class ParetoRung(Rung):
    """A rung of score tuples, ranked by minus the number of trials that dominate one. O(n) a result."""

    # Buffers that double when they are full: one row for an objective, one column for a result, in order of arrival.
    _vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    _dominators: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    _trials: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    _columns: dict[int, int] = field(default_factory=dict)  # of each trial

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each objective: equal ones."""
        return (1.0 / len(self._vectors),) * len(self._vectors)

    @property
    def vectors(self) -> np.ndarray:
        """The scores, shape (objectives, results)."""
        return self._vectors[:, : len(self)]

    @property
    def dominators(self) -> np.ndarray:
        """How many trials dominate each, shape (results,), int."""
        return self._dominators[: len(self)]

    @property
    def numbers(self) -> np.ndarray:
        """The trial numbers, shape (results,), int."""
        return self._trials[: len(self)]

    def add(self, number: int, score: Score) -> None:
        """Record the scores of one trial, one for each objective."""
        column, new = len(self), np.atleast_1d(score)
        dominated, dominating = self._compare(new)
        self.dominators[dominated] += 1
        if column == len(self._dominators):
            self._grow(len(new))
        self._vectors[:, column], self._dominators[column] = new, np.count_nonzero(dominating)
        self._trials[column], self._columns[number] = number, column
        self.arrived.append(number)
        self.scores[number] = self.score(number)

    def remove(self, number: int) -> None:
        """Take out the scores of a trial; those it dominated are dominated by one fewer."""
        column, size = self._columns[number], len(self)
        vector = self._vectors[:, column].copy()
        for buffer in (self._vectors, self._dominators[None], self._trials[None]):
            buffer[:, column : size - 1] = buffer[:, column + 1 : size]
        self._columns = {one: index for index, one in enumerate(self._trials[: size - 1].tolist())}
        self.dominators[self._compare(vector)[0]] -= 1
        self.removed[number] = tuple(vector.tolist())
        del self.scores[number]

    def score(self, number: int) -> float:
        """Minus the number of trials that dominate it now."""
        return -float(self._dominators[self._columns[number]])

    def rank_score(self, number: int, score: Score) -> float:
        """Minus the number of trials that dominate its scores here, or its later ones, whichever is better."""
        own, later = self._vectors[:, self._columns[number]], np.atleast_1d(score)
        if np.array_equal(own, later):
            return self.score(number)
        # Its own scores may be among those that dominate the later ones; then so are all that dominate its own.
        return max(self.score(number), -float(np.count_nonzero(self._compare(later)[1])))

    def rank(self, number: int, rank_score: float) -> int:
        """How many trials come before it: those with fewer dominators, and of as many those with more distance."""
        before = int(np.count_nonzero(self.dominators < -rank_score))
        if rank_score > self.score(number):
            return before
        return before + self._ranked(np.flatnonzero(self.dominators == -rank_score)).index(number)

    def is_in_top(self, number: int, rank_score: float, places: int) -> bool:
        """Whether it is among the first `places`; distances are only computed where they decide."""
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
        """Whether it is, or would be, among the first `places` of the latest `count` results, by dominators alone."""
        numbers, dominators = self.numbers[-count:], self.dominators[-count:]
        ahead = (dominators < -rank_score) | ((dominators == -rank_score) & (numbers < number))
        return int(np.count_nonzero(ahead)) < places

    def front(self) -> list[int]:
        """The Pareto set: the trials that no other dominates."""
        return list(self.numbers[self.dominators == 0].tolist())

    def known_at(self, arrivals: int, removals: int) -> list[dict[int, float]]:
        """The scores of each objective after so many arrivals and removals, by trial number in order of arrival."""
        gone = set(islice(self.removed, removals))
        kept = [number for number in self.arrived[:arrivals] if number not in gone]
        vectors = np.array([self._vector_ever(number) for number in kept]).reshape(len(kept), -1)
        return [dict(zip(kept, row.tolist(), strict=True)) for row in vectors.T]

    def weighted(self, weights: np.ndarray) -> WeightedRung:
        """The rung with one score for all objectives, in order of arrival.

        Args:
            weights: The weight of each objective, shape (objectives,); each is scaled to [0, 1] first.
        """
        low, high = self.vectors.min(axis=1), self.vectors.max(axis=1)
        scale = weights / np.where(high > low, high - low, 1.0)
        weighted = scale[:, None] * (self.vectors - low[:, None])
        combined = weighted.min(axis=0) + RHO * weighted.sum(axis=0)
        scores = dict(zip(self.numbers.tolist(), combined.tolist(), strict=True))
        return WeightedRung(
            self.epoch,
            scores,
            *sorted_results(scores),
            self.arrived,
            self.removed,
            tuple(weights.tolist()),
            self,
        )

    def _compare(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which results these scores dominate and which dominate them, each of shape (results,), bool.

        To dominate is to be no worse in any objective and better in one.
        """
        no_better = no_worse = np.ones(len(self), dtype=bool)
        for row, own in zip(self.vectors, scores.tolist(), strict=len(self) > 0):
            no_better, no_worse = no_better & (row <= own), no_worse & (row >= own)
        return no_better & ~no_worse, no_worse & ~no_better

    def _vector_ever(self, number: int) -> np.ndarray:
        if number in self._columns:
            return self._vectors[:, self._columns[number]]
        return np.array(self.removed[number])

    def _grow(self, objectives: int) -> None:
        added = max(64, len(self))
        results = self._vectors.reshape(objectives, len(self))
        self._vectors = np.hstack([results, np.zeros((objectives, added))])
        self._dominators = np.append(self._dominators, np.zeros(added, dtype=int))
        self._trials = np.append(self._trials, np.zeros(added, dtype=int))

    def _ranked(self, columns: np.ndarray) -> list[int]:
        """The trials of these columns from the best; of equals, the furthest from its nearest neighbour first."""
        columns = columns[np.argsort(self.dominators[columns], kind="stable")]
        starts = np.flatnonzero(np.diff(self.dominators[columns], prepend=-1))
        group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(columns)))
        vectors, numbers = self.vectors[:, columns], self.numbers[columns]
        low, high = (edge.reduceat(vectors, starts, axis=1)[:, group] for edge in (np.minimum, np.maximum))
        scaled = ((vectors - low) / np.where(high > low, high - low, 1.0)).T
        distances = _nearest_distances(scaled, group)
        return list(numbers[np.lexsort((numbers, -distances, group))].tolist())


@dataclass(eq=False)
class WeightedRung(Rung):
    """A rung of several objectives with one score for all, by the given weights."""

    weights: tuple[float, ...] = ()
    source: ParetoRung = field(default_factory=lambda: ParetoRung(0))

    def known_at(self, arrivals: int, removals: int) -> list[dict[int, float]]:
        """The scores of each objective, unweighted, after so many arrivals and removals."""
        return self.source.known_at(arrivals, removals)


def _nearest_distances(points: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The distance of each row to the nearest row of its group, shape (n,); infinite for a row alone.

    Args:
        points: Rows in the unit cube, shape (n, objectives); distances are sums over the columns.
        group: The group of each row, shape (n,), int.
    """
    from scipy.spatial import KDTree  # slow to import, and needed for several objectives alone

    if len(points) < 2:
        return np.full(len(points), np.inf)
    # One tree for all groups, which are further apart than any two rows of a group.
    furthest = points.shape[1]
    separated = np.column_stack([points, 2.0 * furthest * group])
    nearest = KDTree(separated).query(separated, k=2, p=1)[0][:, 1]
    return np.where(nearest <= furthest, nearest, np.inf)
