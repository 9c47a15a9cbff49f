"""Several objectives: rungs ranked by domination, and random weightings that turn them into one score for a model.

A trial is ranked by how many others are better in every objective (Fonseca & Fleming 1993), the Pareto set first, and
among equals by how far it stands from its nearest neighbour, so that a cut leaves the front spread out. For each
proposal the objectives are weighted anew (ParEGO; Knowles 2006, augmented Tchebycheff, its rho = 0.05), so that the
proposals together cover the whole front.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from search.ladder import Rung, Verdict

Score = float | tuple[float, ...]
RHO = 0.05


@dataclass(frozen=True)
class Objectives:
    """The metrics searched for; signs are 1 where more is better, -1 where less is."""

    metrics: tuple[str, ...]
    signs: tuple[float, ...]

    @classmethod
    def of(cls, modes: Mapping[str, str]) -> Objectives:
        """From metric names to max or min."""
        return cls(tuple(modes), tuple(1.0 if mode == "max" else -1.0 for mode in modes.values()))

    def score(self, metrics: Mapping[str, float]) -> Score:
        """A float for one objective, a tuple for several, higher is better; KeyError when a metric is missing."""
        if len(self.metrics) == 1:
            return self.signs[0] * metrics[self.metrics[0]]
        return tuple(sign * metrics[name] for name, sign in zip(self.metrics, self.signs, strict=True))

    def cut_line(self, verdict: Verdict, reduction_factor: int) -> str:
        """Why a trial was cut, in the metric's own sign; after a rung where its later values were held against it."""
        where = f"cut {'at' if verdict.arrived else 'after'} rung {verdict.rung}"
        sign = self.signs[0] if len(self.signs) == 1 else -1.0
        score, cutoff = sign * verdict.score, sign * verdict.cutoff
        differs, earlier = (
            ("<" if sign > 0 else ">", "") if score != cutoff else ("=", " of an earlier trial")
        )
        given, least = _told_apart(score, cutoff)
        given += "" if len(self.signs) == 1 else " dominate it"
        return f"{where}: {given} {differs} {least}{earlier} (top 1/{reduction_factor} of {verdict.peers})"


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Both in four digits, or in as many as tell them apart."""
    pairs = [(f"{one:.{digits}g}", f"{other:.{digits}g}") for digits in range(4, 18)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])


@dataclass(eq=False)
class ParetoRung(Rung):
    """A rung of score tuples; a trial's one score is minus the number of trials that dominate it. O(n) a result."""

    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    dominators: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    numbers: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, number: int, score: Score) -> None:
        """Record the scores of one trial."""
        new = np.array([score], dtype=float)
        old = self.vectors.reshape(len(self.numbers), new.shape[1])
        self.dominators = self.dominators + _dominates(new, old)
        count = int(_dominates(old, new).sum())
        self.vectors, self.dominators = np.vstack([old, new]), np.append(self.dominators, count)
        self.scores[number] = -float(count)
        self.numbers.append(number)

    def score(self, number: int) -> float:
        """Minus the number of trials that dominate it now."""
        return -float(self.dominators[self.numbers.index(number)])

    def standing(self, number: int, score: Score) -> float:
        """Minus the number of trials that dominate it, by its scores here or by later ones, whichever are fewer."""
        # Its own scores are counted too: where they dominate the later ones, so does whoever dominates them.
        now = _dominates(self.vectors, np.array([score], dtype=float)).sum()
        return max(self.score(number), -float(now))

    def rank(self, number: int, standing: float) -> int:
        """How many trials come before it: those with fewer dominators, and those of as many that stand more alone."""
        before = int((self.dominators < -standing).sum())
        moved_up = standing > self.score(number)
        return before if moved_up else before + self._spread_out(int(-standing)).index(number)

    def leads(self, number: int, standing: float, places: int) -> bool:
        """Whether it is among the first `places`; how it stands among its equals is looked at where it must be."""
        before = int((self.dominators < -standing).sum())
        if before >= places or before + int((self.dominators == -standing).sum()) <= places:
            return before < places
        return self.rank(number, standing) < places

    def best_first(self) -> Iterator[int]:
        """The trials from the best to the worst."""
        for count in np.unique(self.dominators).tolist():
            yield from self._spread_out(count)

    def _spread_out(self, count: int) -> list[int]:
        """The trials of so many dominators; the furthest from their nearest neighbour first."""
        where = np.flatnonzero(self.dominators == count)
        vectors = self.vectors[where]
        low, high = vectors.min(axis=0), vectors.max(axis=0)
        scaled = (vectors - low) / np.where(high > low, high - low, 1.0)
        members = [
            (-nearest, self.numbers[i]) for nearest, i in zip(_nearest(scaled).tolist(), where, strict=True)
        ]
        return [number for _, number in sorted(members)]

    def score_at(self, rank: int) -> float:
        """The score of the given rank, 0 the best."""
        return -float(np.partition(self.dominators, rank)[rank])

    def leads_latest(self, number: int, standing: float, count: int, places: int) -> bool:
        """Whether it is, or would be, in the first `places` of the latest `count` results, by dominators alone."""
        latest: Iterator[tuple[int, int]] = zip(
            self.numbers[-count:], self.dominators[-count:].tolist(), strict=True
        )
        return sum(n < -standing or (n == -standing and other < number) for other, n in latest) < places

    def front(self) -> list[int]:
        """The trials nobody dominates."""
        return [
            number for number, count in zip(self.numbers, self.dominators.tolist(), strict=True) if count == 0
        ]

    def weighted(self, weights: np.ndarray) -> Rung:
        """The rung under one weighting of the objectives, each brought to [0, 1] first; in order of arrival."""
        low, high = self.vectors.min(axis=0), self.vectors.max(axis=0)
        parts = weights * (self.vectors - low) / np.where(high > low, high - low, 1.0)
        scores = (parts.min(axis=1) + RHO * parts.sum(axis=1)).tolist()
        return Rung.of(self.epoch, dict(zip(self.numbers, scores, strict=True)))


def _nearest(points: np.ndarray) -> np.ndarray:
    """The distance, a sum over the columns, of each row to its nearest other row; infinite for a row alone."""
    from scipy.spatial import KDTree  # for searches with several objectives alone

    if len(points) < 2:
        return np.full(len(points), np.inf)
    return np.asarray(KDTree(points).query(points, k=2, p=1)[0][:, 1])


def _dominates(better: np.ndarray, worse: np.ndarray) -> np.ndarray:
    """Which rows of the one are at least as good everywhere as those of the other and better somewhere."""
    return np.asarray((better >= worse).all(axis=1) & (better > worse).any(axis=1))
